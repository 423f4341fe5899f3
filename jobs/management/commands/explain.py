"""Say why a job waits."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs import following, queries
from jobs.errors import JobNotFound


class Command(BaseCommand):
    help = "Prints everything that keeps a job from running now: code, what would free it, value and limit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", help="the job's id or uuid")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            job = queries.job_by_reference(options["job"])
        except JobNotFound as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{job.uuid} is {job.status}" + (f" ({job.reason})" if job.reason else ""))
        for reason in following.explain(job):
            figures = (
                "" if reason.value is None else f" [{reason.value}" + (f" of {reason.limit}]" if reason.limit else "]")
            )
            since = f" since {reason.since:%Y-%m-%d %H:%M:%S} UTC" if reason.since else ""
            self.stdout.write(f"  {reason.code}{figures}{since}: {reason.hint}")
