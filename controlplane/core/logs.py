"""The form of every log line: named values, as JSON or as readable text, without tokens.

Loggers stay those of the standard library, ours and those of all packages; structlog gives their lines
their form, and adds what the running request or task has bound. Plain Python: the web server's logger
uses it before Django is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor

from controlplane.core.scrub import clean_values

FORMATS: Final = ("json", "text")
FIRST: Final = ("timestamp", "level", "logger", "event")
LAST: Final = ("exception", "stack")
# What a line may tell besides, given as `extra=`; packages give whole requests there, which no line shows.
FIELDS: Final = ("job_id", "execution_id", "operation_id", "status_code")


def begin_request(request_id: str) -> None:
    """From here on this thread's lines tell of this request, and of no earlier one."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def name_caller(user: str, token_prefix: str = "") -> None:
    """Name on the request's further lines whose it is, and by which token: its first characters only."""
    if token_prefix:
        structlog.contextvars.bind_contextvars(user=user, token_prefix=token_prefix)
    else:
        structlog.contextvars.bind_contextvars(user=user)


def _keep_traces(logger: Any, method: str, event: EventDict) -> EventDict:
    """The filter before us has written and scrubbed the traceback already; a stack comes as text."""
    if text := event["_record"].exc_text:
        event.pop("exc_info", None)
        event["exception"] = text
    if stack := event.pop("stack_info", None):
        event["stack"] = stack
    return event


def _clean(logger: Any, method: str, event: EventDict) -> EventDict:
    """The event without tokens, its best known names first."""
    cleaned: dict[str, Any] = clean_values(event)
    between = sorted(cleaned.keys() - {*FIRST, *LAST})
    return {name: cleaned[name] for name in (*FIRST, *between, *LAST) if name in cleaned}


def _as_json(logger: Any, method: str, event: EventDict) -> str:
    return json.dumps(event, separators=(",", ":"))


def _as_text(logger: Any, method: str, event: EventDict) -> str:
    """One line, and a traceback on lines of its own below it."""
    head = " ".join(_on_one_line(str(event[name])) for name in FIRST if name in event)
    pairs = [f"{name}={_quoted(value)}" for name, value in event.items() if name not in (*FIRST, *LAST)]
    below = [str(event[name]) for name in LAST if name in event]
    return "\n".join([" ".join([head, *pairs]), *below])


def _on_one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isprintable() and text and not set(text) & set(" \"'=") else json.dumps(text)


_RENDER: Final[Mapping[str, Callable[[Any, str, EventDict], str]]] = {"json": _as_json, "text": _as_text}
_ALWAYS: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def formatter(style: str) -> ProcessorFormatter:
    """The formatter for handlers of `logging`, in one of FORMATS; also has structlog's own loggers write through it."""
    structlog.configure(
        processors=[
            *_ALWAYS,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return ProcessorFormatter(
        foreign_pre_chain=[*_ALWAYS, ExtraAdder(allow=FIELDS), _keep_traces],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _clean,
            _RENDER.get(style, _as_json),
        ],
    )
