"""The end of a container's log, as its page asks for it again and again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters import queries
from clusters.models import Container
from controlplane.core.errors import ControlPlaneError

LINES: Final = 200
_BACK: Final = timedelta(hours=1)
# Clocks of places go before ours.
_AHEAD: Final = timedelta(minutes=1)


def tail(container: Container) -> dict[str, str]:
    """`text`: its newest lines, the newest last; `note`: what is to be said of them."""
    now = timezone.now()
    try:
        found = queries.log_of(container, start=now - _BACK, end=now + _AHEAD, limit=LINES)
    except ControlPlaneError as error:
        return {"text": "", "note": error.message}
    lines = [f"{each.timestamp:%H:%M:%S} {each.severity.upper():7} {each.message}" for each in reversed(found)]
    said = f"The newest {LINES} lines of the last hour at most, times in UTC." if lines else "Nothing in the last hour."
    return {"text": "\n".join(lines), "note": said}


def log_section(container: Container) -> SafeString:
    """Where the page's script puts it."""
    address = reverse("admin:clusters_container_log", args=[container.pk])
    return format_html(
        "<p class='cp-note' id='log-note' role='status'></p>"
        "<noscript><a href='{0}'>The end of the log</a></noscript>"
        "<pre id='log' class='cp-log' tabindex='0' aria-label='Log of the container' data-address='{0}'"
        " data-live-keep></pre>",
        address,
    )
