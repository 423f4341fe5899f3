"""The WSGI application: `gunicorn controlplane.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018 - loads them now, and not with the first request
