"""The web server's logger: its lines have the form of all others, and no tokens."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.glogging import Logger, SafeAtoms

from controlplane.core import logs
from controlplane.core.scrub import MASK, ScrubFilter, scrub

_SECRET_HEADERS = ("authorization", "cookie")


class ScrubbedAtoms(SafeAtoms):  # type: ignore[misc]  # gunicorn has no types
    """What an access log's format may ask for, scrubbed when it is asked."""

    def __getitem__(self, key: str) -> Any:
        if key.startswith("{") and any(name in key.lower() for name in _SECRET_HEADERS):
            return MASK
        value = super().__getitem__(key)
        return scrub(value) if isinstance(value, str) else value


def chosen_format() -> str:
    """LOG_FORMAT as controlplane.settings reads it: these loggers are there before it."""
    debug = os.environ.get("DEBUG", "").strip().lower() in {"1", "true", "yes", "on"}
    return os.environ.get("LOG_FORMAT") or ("text" if debug else "json")


class ScrubbingLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Access and error log. Errors name the request's URI, so they are scrubbed too."""

    atoms_wrapper_class = ScrubbedAtoms

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        form = logs.formatter(chosen_format())
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(form)
            if not any(isinstance(f, ScrubFilter) for f in handler.filters):
                handler.addFilter(ScrubFilter())

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """A request's last word. What it has bound is on the line, and on none after it in this thread."""
        if self.access_log_enabled:
            atoms = self.atoms(resp, req, environ, request_time)
            with structlog.contextvars.bound_contextvars(**_fields(atoms)):
                super().access(resp, req, environ, request_time)
        structlog.contextvars.clear_contextvars()


def _fields(atoms: dict[str, Any]) -> dict[str, Any]:
    """What the line tells besides its text. Who called is told only of a request that has got as far as an id."""
    request_id = atoms.get("{x-request-id}o")
    bound = structlog.contextvars.get_contextvars()
    if request_id is None or bound.get("request_id") != request_id:
        structlog.contextvars.clear_contextvars()
    return {
        **({"request_id": request_id} if request_id else {}),
        "address": atoms["h"],
        "method": atoms["m"],
        "path": atoms["U"],
        "status": int(atoms["s"]) if str(atoms["s"]).isdigit() else atoms["s"],
        "bytes": atoms["B"],
        "duration_ms": atoms["D"] / 1000,
        "agent": atoms["a"],
    }
