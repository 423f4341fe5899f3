"""Web and workers together, for development and small deployments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Runs the web server (on 127.0.0.1) and `manage.py work` until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        environment = {**os.environ, "PORT": str(port)}
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(settings.BASE_DIR / "deploy" / "gunicorn.conf.py")]
        work = [sys.executable, str(settings.BASE_DIR / "manage.py"), "work"]
        # Sessions of their own: a Ctrl-C at the terminal reaches us alone, and we stop them in order.
        children = [
            subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, start_new_session=True)
            for command in (gunicorn, work)
        ]
        stopping: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: stopping.append(received))
        self.stdout.write(f"Open http://127.0.0.1:{port}/ - Ctrl-C stops.")
        while not stopping and all(child.poll() is None for child in children):
            time.sleep(0.2)
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        codes = [child.wait() for child in children]
        if not stopping:
            raise CommandError(f"The web server or the workers ended by themselves (exit codes {codes}).")
