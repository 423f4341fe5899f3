"""What a take-over of another system did, or would do: told line by line, counted, and said at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from controlplane.core.errors import ControlPlaneError


class Outcome(StrEnum):
    """What became of one thing. LEFT: not to be taken over, for a reason. FAILED: it should have been."""

    NEW = "new"
    CHANGED = "changed"
    KEPT = "kept"
    LEFT = "left"
    FAILED = "failed"


class Report:
    """Tells of each thing as `write` shows it; of what is as it was only if `is_wordy`."""

    def __init__(self, write: Callable[[str], object], *, is_wordy: bool = False) -> None:
        self._write = write
        self._is_wordy = is_wordy
        self.counts: Counter[tuple[str, Outcome]] = Counter()

    def tell(self, outcome: Outcome, noun: str, name: str, why: str = "") -> None:
        """A thing, such as the noun "job type" and its name."""
        self.count(outcome, noun)
        if outcome != Outcome.KEPT or self._is_wordy:
            self._write(f"{outcome:<8} {noun} {name}{': ' if why else ''}{why}")

    def count(self, outcome: Outcome, noun: str, number: int = 1) -> None:
        """As `tell`, without a line for each."""
        self.counts[noun, outcome] += number

    @contextmanager
    def attempt(self, noun: str, name: str) -> Iterator[None]:
        """What is refused inside has failed, and the rest goes on."""
        try:
            yield
        except ControlPlaneError as error:
            self.tell(Outcome.FAILED, noun, name, f"{error.field}: {error.message}" if error.field else error.message)
        except DatabaseError as error:
            self.tell(Outcome.FAILED, noun, name, f"the database refused it: {str(error).splitlines()[0]}")

    @property
    def has_failed(self) -> bool:
        return any(number for (_, outcome), number in self.counts.items() if outcome == Outcome.FAILED)

    def summary(self) -> str:
        """Such as "job type: 2 new, 1 kept; error: 3 kept."."""
        nouns = dict.fromkeys(noun for noun, _ in self.counts)
        told = [
            f"{noun}: " + ", ".join(f"{n} {each}" for each in Outcome if (n := self.counts[noun, each]))
            for noun in nouns
        ]
        return "; ".join(told) + "." if told else "There was nothing to take over."


class ImportCommand(BaseCommand):
    """A command that takes over another system: idempotent, with --dry-run, and failed if anything in it has."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        report = Report(self.stdout.write, is_wordy=options["verbosity"] > 1)
        dry_run: bool = options["dry_run"]
        self.take_over(report, dry_run, options)
        self.stdout.write(("Would be taken over: " if dry_run else "Taken over: ") + report.summary())
        if dry_run:
            self.stdout.write("This was a dry run: nothing is written.")
        if report.has_failed:
            raise CommandError("Not all could be taken over: see the lines that begin with “failed”.")

    def take_over(self, report: Report, dry_run: bool, options: dict[str, Any]) -> None:
        raise NotImplementedError
