"""The web server: threads, because streams and slow clients hold one each. On loopback: TLS is a proxy's work."""

import os
from pathlib import Path

chdir = str(Path(__file__).resolve().parent.parent)
wsgi_app = "controlplane.wsgi:application"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
keepalive = 30
# Longer than the longest stop of a healthy request; a stream ends by itself when its server does.
graceful_timeout = 10
logger_class = "controlplane.gunicorn_log.ScrubbingLogger"
# A line for each request only when asked: WEB_ACCESS_LOG=- prints it.
accesslog = os.environ.get("WEB_ACCESS_LOG") or None
# Nothing here uses gunicorn's control interface, and its socket would stand outside the checkout.
control_socket_disable = True
