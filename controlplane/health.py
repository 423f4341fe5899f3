"""Is it up, can it work, and where is everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from clusters.queries import CLOUDS, cloud_regions, missing_settings
from jobs import queries
from jobs.gates import WORKER_SILENT_AFTER
from jobs.models import Place

# What each of the services that we may do without is set up by.
SERVICES: Final[dict[str, tuple[str, ...]]] = {
    "stripe": ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"),
    "prometheus": ("PROMETHEUS_URL",),
    "loki": ("LOKI_URL",),
    "slack": ("SLACK_WEBHOOK_URL",),
    "google": ("GOOGLE_CLIENT_ID",),
}
_HELD_BY: Final = {"STRIPE_WEBHOOK_SECRET": "STRIPE_WEBHOOK_SECRETS"}


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The web process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served and jobs run, else 503; says which part is not ready, and why."""
    parts: dict[str, dict[str, Any]] = {"database": _database()}
    if parts["database"]["ok"]:
        parts["scheduler"] = _scheduler()
    places = list(queries.places_of_clouds()) if parts["database"]["ok"] and cloud_regions() else []
    parts |= services(places)
    ready = all(part["ok"] for part in parts.values())
    return JsonResponse({"ready": ready, "parts": parts}, status=200 if ready else 503)


def services(places: Sequence[Place]) -> dict[str, dict[str, Any]]:
    """What we may do without, each with whether it is set up: clouds, and how they do in `places`, then the rest."""
    clouds = {cloud: _cloud(cloud, [place for place in places if place.cloud == cloud]) for cloud in CLOUDS}
    return clouds | {name: _service(names) for name, names in SERVICES.items()}


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return {"ok": False, "hint": "The database does not answer: see DATABASE_URL."}
    return {"ok": True, "vendor": connection.vendor}


def _scheduler() -> dict[str, Any]:
    """Has the worker of this deployment's own region been seen lately?"""
    place = queries.find_place("local", settings.LOCAL_REGION)
    if place is None or place.seen_at is None:
        return {"ok": False, "hint": "No worker was ever seen: start `manage.py work`."}
    silent = (timezone.now() - place.seen_at).total_seconds()
    if silent > WORKER_SILENT_AFTER.total_seconds():
        return {"ok": False, "silent_seconds": round(silent, 1), "hint": "Start `manage.py work`."}
    return {"ok": True, "silent_seconds": round(silent, 1), "runs_jobs_of": place.runs_for}


def _cloud(cloud: str, places: list[Place]) -> dict[str, Any]:
    """Is it set up, and do its calls work? One that fails keeps nobody from working, so it is told and no more."""
    if missing := missing_settings(cloud):
        return {"ok": True, "configured": False, "missing": missing}
    failing = {place.region: place.failure for place in places if place.failure}
    return {"ok": True, "configured": True, **({"failing": failing} if failing else {})}


def _service(names: tuple[str, ...]) -> dict[str, Any]:
    """Is it set up? Nobody waits for it to be able to work."""
    missing = [name for name in names if not getattr(settings, _HELD_BY.get(name, name))]
    return {"ok": True, "configured": not missing, **({"missing": missing} if missing else {})}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The page that names the surfaces."""
    return render(request, "index.html", {"version": settings.SPECTACULAR_SETTINGS["VERSION"]})
