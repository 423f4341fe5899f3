"""The web server: threads, because streams and slow clients hold one each. On loopback: TLS is a proxy's work."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

chdir = str(Path(__file__).resolve().parent.parent)
wsgi_app = "controlplane.wsgi:application"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "256"))
# So many threads share a few database connections: settings.py makes a pool where it sees this, and nowhere else.
os.environ["IS_WEB_PROCESS"] = "1"
keepalive = 30
# Longer than the longest stop of a healthy request; streams are told to end (post_worker_init).
graceful_timeout = 10
logger_class = "controlplane.gunicorn_log.ScrubbingLogger"
# A line for each request only when asked: WEB_ACCESS_LOG=- prints it. It has more fields, see gunicorn_log.
accesslog = os.environ.get("WEB_ACCESS_LOG") or None
access_log_format = "%(m)s %(U)s"
# Nothing here uses gunicorn's control interface, and its socket would stand outside the checkout.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """A worker that is told to go tells its streams: waiting for them would take the whole grace."""
    from controlplane.core.feeding import leave

    finish = signal.getsignal(signal.SIGTERM)

    def go(number: int, frame: FrameType | None) -> None:
        leave()
        if callable(finish):
            finish(number, frame)

    signal.signal(signal.SIGTERM, go)
