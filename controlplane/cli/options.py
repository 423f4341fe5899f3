"""Options that commands share: `--json` on all of them, the filters of the job list on those that take many jobs.

A command is written with the session first and, if it takes filters, with `filters`; the options themselves
are put into its signature here, once.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

import typer

from controlplane.cli.amounts import moment
from controlplane.cli.errors import ExitCode, Failure
from controlplane.cli.session import Session

Filters = dict[str, list[str]]
Body = TypeVar("Body", bound=Callable[..., None])
FILTERS: Final = "Filters (repeated: any of them)"

# Option -> the API's filter, and what it is.
_REPEATED: Final[Mapping[str, tuple[str, str]]] = {
    "--status": ("status", "QUEUED, RUNNING, COMPLETED, FAILED, CANCELED …"),
    "--state": ("state", "The finer one: DELAYED, STARTING, CANCELING, REJECTED … too."),
    "--customer": ("customer", "Name of the customer."),
    "--owner": ("owner", "User name of the owner."),
    "--class": ("classification", "Class, exactly."),
    "--tag": ("tag", "KEY, or KEY:VALUE (KEY=VALUE is the same)."),
    "--cloud": ("cloud", "Cloud."),
    "--region": ("region", "Region."),
    "--queue": ("queue", "Queue."),
    "--shape": ("shape", "Kind of work."),
    "--reason": ("reason", "Code of why it waits, or ended as it did."),
    "--error-category": ("error_category", "Whose fault: SYSTEM, DATA, ALGORITHM."),
    "--error-id": ("error_id", "Id of the error."),
    "--retry-of": ("retry_of", "Id of the job that it retries."),
}
_MOMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "--changed-after": ("started", "Changed since: ISO 8601, or such as 2h (ago)."),
    "--changed-before": ("ended", "Last changed before."),
    "--created-after": ("created_after", "Submitted since."),
    "--created-before": ("created_before", "Submitted before."),
}


def command(group: typer.Typer, name: str, *, filters: bool = False, **settings: Any) -> Callable[[Body], Body]:
    """Make a function a command of `group`: it gets the session, its own parameters, and `filters` if wanted."""

    def register(body: Body) -> Body:
        group.command(name, **settings)(_exposed(body, filters))
        return body

    return register


def _exposed(body: Callable[..., None], filters: bool) -> Callable[..., None]:
    own = list(inspect.signature(body, eval_str=True).parameters.values())
    parameters = [each.replace(kind=_KEYWORD) for each in own if each.name not in ("session", "filters")]

    def run(ctx: typer.Context, as_json: bool, **given: Any) -> None:
        session = ctx.ensure_object(Session)
        session.printer.as_json = session.printer.as_json or as_json
        if filters:
            given["filters"] = _chosen(given)
        try:
            body(session, **given)
        except (typer.Abort, EOFError) as error:
            raise Failure(ExitCode.INTERRUPTED, "a question was not answered") from error
        except BrokenPipeError as error:
            # stdout is flushed once more at exit, and would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.PIPE_CLOSED) from error

    functools.update_wrapper(run, body)
    del run.__wrapped__  # type: ignore[attr-defined] # typer is to see the signature below, not the body's
    shown = [_CONTEXT, *parameters, *(_FILTERS if filters else ()), _JSON]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in shown}
    return run


def _chosen(given: dict[str, Any]) -> Filters:
    """Take the filters out of `given`, by the API's names."""
    filters: Filters = {}
    for known, _ in _REPEATED.values():
        values: list[str] = given.pop(_parameter(known)) or []
        if known == "tag":
            values = [re.sub("[=:]", ":", each, count=1) for each in values]
        if values:
            filters[known] = values
    for known, _ in _MOMENTS.values():
        text = given.pop(_parameter(known))
        if text is not None:
            filters[known] = [moment(text)]
    held = given.pop(_parameter("on_hold"))
    if held is not None:
        filters["on_hold"] = ["true" if held else "false"]
    return filters


def _parameter(known: str) -> str:
    """A filter's parameter; a command's own options of the same name (`--priority`) keep theirs."""
    return f"filter_{known}"


_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY


def _option(name: str, annotation: Any, *flags: str, default: Any = None, **more: Any) -> inspect.Parameter:
    annotated = Annotated[annotation, typer.Option(*flags, **more)]
    return inspect.Parameter(name, _KEYWORD, default=default, annotation=annotated)


_CONTEXT: Final = inspect.Parameter("ctx", _KEYWORD, annotation=typer.Context)
_JSON: Final = _option("as_json", bool, "--json", default=False, help="Print the API's JSON.")
_FILTERS: Final = (
    *(
        _option(_parameter(known), list[str], flag, help=text, rich_help_panel=FILTERS)
        for flag, (known, text) in _REPEATED.items()
    ),
    *(
        _option(_parameter(known), str | None, flag, help=text, metavar="TIME", rich_help_panel=FILTERS)
        for flag, (known, text) in _MOMENTS.items()
    ),
    _option(
        _parameter("on_hold"), bool | None, "--on-hold/--not-on-hold", help="Held one by one.", rich_help_panel=FILTERS
    ),
)
