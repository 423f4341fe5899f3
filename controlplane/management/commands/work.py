"""Run the background work of this machine."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from controlplane.supervisor import Supervisor


class Command(BaseCommand):
    help = "Schedules and runs jobs, and all other background work, until SIGTERM or Ctrl-C. One per machine."

    def handle(self, *args: Any, **options: Any) -> None:
        settings.RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(settings.RUN_DIR / "work.lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise CommandError(f"manage.py work runs here already, as process {lock.read().strip()}.") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self.stdout.write(f"Working for {settings.LOCAL_REGION}; Ctrl-C stops.")
            Supervisor().run()
