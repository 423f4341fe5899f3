"""The web server's logger: as gunicorn's own, without tokens."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger, SafeAtoms

from controlplane.core.scrub import MASK, ScrubFilter, scrub

_SECRET_HEADERS = ("authorization", "cookie")


class ScrubbedAtoms(SafeAtoms):  # type: ignore[misc]  # gunicorn has no types
    """What an access log's format may ask for, scrubbed when it is asked."""

    def __getitem__(self, key: str) -> Any:
        if key.startswith("{") and any(name in key.lower() for name in _SECRET_HEADERS):
            return MASK
        value = super().__getitem__(key)
        return scrub(value) if isinstance(value, str) else value


class ScrubbingLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Access and error log. Errors name the request's URI, so they are scrubbed too."""

    atoms_wrapper_class = ScrubbedAtoms

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            if not any(isinstance(f, ScrubFilter) for f in handler.filters):
                handler.addFilter(ScrubFilter())
