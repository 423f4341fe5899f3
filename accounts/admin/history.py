"""The history of a row in the admin: who changed what of it and from what, and how it was at a time.

Every list and every page of a row leads here: see ReadOnlyAdmin.history_view.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.configured import CONFIGURED
from accounts.models import User
from accounts.row_history import MOST_CHANGES, Then, page_of, then
from controlplane.core.admin import ReadOnlyAdmin, link, table, when
from controlplane.core.comparison import beside
from controlplane.core.history import FIELDS, Change, Past, Subject

SIZE: Final = 25
MOST_LINES: Final = 400  # of a document that is compared in a list
SHORT: Final = 80  # characters of a value that stands in a line
AT: Final = "at"
OLDER: Final = "older"
_UNTOLD: Final = "The log does not say what it was."


def history_page(request: HttpRequest, of: ReadOnlyAdmin, pk: int, context: dict[str, Any]) -> HttpResponse:
    """What was changed of a row, newest first; with `?at=`, how it was then."""
    if not (of.has_view_permission(request) and request.user.has_perm("accounts.view_event")):
        raise PermissionDenied
    row = of.get_queryset(request).filter(pk=pk).first()
    if row is None and of.model._base_manager.filter(pk=pk).exists():
        raise Http404  # not for this user
    subject = of.log_subject(pk, row)
    if subject is None:
        raise Http404
    name = f"admin:{of.opts.app_label}_{of.opts.model_name}"
    if row is None and not page_of(subject, older=None, size=1)[0]:
        raise Http404
    shown = {
        **context,
        "opts": of.opts,
        "title": f"History of {of.opts.verbose_name} {row or pk}",
        "back": reverse(f"{name}_change", args=[pk]) if row else reverse(f"{name}_changelist"),
        "back_label": "Back to it" if row else "Back to the list",
        "here": request.path,
        "log_url": f"{reverse('admin:accounts_event_changelist')}?{urlencode({'q': f'{subject.kind} {subject.id}'})}",
        "is_gone": row is None,
        "given": request.GET.get(AT, ""),
        "can_look_back": _can_look_back(of, row, subject),
    }
    if AT in request.GET and shown["can_look_back"]:
        shown |= _as_it_was(request, of, row, subject)
    else:
        shown |= _changes(request, subject, can_look_back=shown["can_look_back"])
    return TemplateResponse(request, "admin/history.html", shown)


def past_of(of: ReadOnlyAdmin, row: Any, at: str) -> Past | None:
    """How a row was at an event or a time; None when that cannot be told."""
    subject, moment = of.log_subject(row.pk, row), read_moment(at)
    if subject is None or moment is None or not _can_look_back(of, row, subject):
        return None
    found = then(subject, of.configuration(row), moment)
    return found.past if found.is_near else None


def read_moment(text: str) -> int | datetime | None:
    """An event's id, or a time, of UTC where it says nothing else; None for what is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        # A plus that was not written as %2B has become a blank.
        moment = parse_datetime(text) or parse_datetime("+".join(text.rsplit(" ", 1)))
        if moment is None:
            day = parse_date(text)
            moment = None if day is None else datetime.combine(day, time())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _can_look_back(of: ReadOnlyAdmin, row: Any, subject: Subject) -> bool:
    if subject.noun not in CONFIGURED:
        return False
    return bool(CONFIGURED[subject.noun].ends) if row is None else of.configuration(row) is not None


# --- What was changed ------------------------------------------------------------------------------


def _changes(request: HttpRequest, subject: Subject, *, can_look_back: bool) -> dict[str, Any]:
    older = read_moment(request.GET.get(OLDER, ""))
    found, has_older = page_of(subject, older=older if isinstance(older, int) else None, size=SIZE)
    configuring = CONFIGURED[subject.noun].kinds if can_look_back else ()
    rows = [
        (
            when(change.at),
            _who(request, change),
            change.kind,
            told(change),
            link(f"?{urlencode({AT: change.id})}", "as it was then") if change.kind in configuring else "",
        )
        for change in found
    ]
    return {
        "changes": table(("When", "Who", "What", "Changed", ""), rows) if rows else "",
        "newest_url": request.path if older is not None else "",
        "older_url": f"?{urlencode({OLDER: found[-1].id})}" if has_older else "",
    }


def _who(request: HttpRequest, change: Change) -> SafeString | str:
    """Who did it; a page of theirs for whom there is one."""
    if change.actor_id is None:
        return "the system"
    user: User = request.user  # type: ignore[assignment]
    if not (user.is_superuser or user.pk == change.actor_id):
        return change.actor
    return link(
        reverse("admin:accounts_user_change", args=[change.actor_id]), change.actor or f"user {change.actor_id}"
    )


def told(change: Change) -> SafeString | str:
    """What a change says: each field as it was and as it became, long documents line by line."""
    return format_html_join("", "<div class='cp-change'>{}</div>", ((each,) for each in _told(change)))


def _told(change: Change) -> Iterator[SafeString]:
    for name in dict.fromkeys((*change.before, *change.after)):
        if name == FIELDS and isinstance(change.after.get(name), list):
            continue
        was, now = change.before.get(name), change.after.get(name)
        if name not in change.before:
            yield format_html("<b>{}</b> {}", name, _value(now))
        elif name not in change.after:
            yield format_html("<b>{}</b> was {}", name, _value(was))
        elif was != now:
            yield _difference(name, was, now)
    for name in sorted(change.named() - set(change.after)):
        yield format_html("<b>{}</b> changed; its value is not told", name)


def _difference(name: str, was: Any, now: Any) -> SafeString:
    if _is_short(was) and _is_short(now):
        return format_html("<b>{}</b> <del>{}</del> → <ins>{}</ins>", name, spelled(was), spelled(now))
    if max(_lines(was), _lines(now)) > MOST_LINES:
        return format_html("<b>{}</b> is too long to be shown here: see how it was then", name)
    return format_html("<details><summary><b>{}</b></summary>{}</details>", name, beside(was, now, ("Before", "After")))


def _value(value: Any) -> SafeString | str:
    if _is_short(value):
        return spelled(value)
    return format_html("<details><summary>shown</summary><pre class='cp-log'>{}</pre></details>", spelled(value))


def spelled(value: Any) -> str:
    """A value of the log in words: nothing as a dash, documents laid out over lines."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHORT else json.dumps(value, ensure_ascii=False, indent=2)


def _is_short(value: Any) -> bool:
    text = spelled(value)
    return len(text) <= SHORT and "\n" not in text


def _lines(value: Any) -> int:
    return spelled(value).count("\n") + 1


# --- As it was -------------------------------------------------------------------------------------


def _as_it_was(request: HttpRequest, of: ReadOnlyAdmin, row: Any, subject: Subject) -> dict[str, Any]:
    given = request.GET[AT].strip()
    moment = read_moment(given)
    if moment is None:
        return {"notes": ["This is no time, such as 2027-01-31 08:00 (UTC), and no event's id."]}
    current = None if row is None else of.configuration(row)
    found = then(subject, current, moment)
    asked = when(moment) if isinstance(moment, datetime) else f"event {moment}"
    if not found.is_near:
        words = f"It was changed more than {MOST_CHANGES} times since: choose a later moment."
        return {"asked": asked, "notes": [words]}
    notes = list(_notes(found))
    if found.past.state is None:
        return {"asked": asked, "notes": notes}
    pages = of.restorable(request, row, found.past, given) if row is not None else []
    return {
        "asked": asked,
        "notes": notes,
        "state": _state(found.past, current),
        "around": [each for each in of.around(request, row, found.past, moment) if each[1]] if row is not None else [],
        "restoring": [(f"Restore this: {label}", url) for label, url in pages],
    }


def _notes(found: Then) -> Iterator[str]:
    if not found.is_known:
        since = f"{found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else "now"
        yield f"The event log reaches back to {since} only: shown is how it was then. What was before is not known."
    elif found.past.state is None:
        yield "It was not there."


def _state(past: Past, current: Mapping[str, Any] | None) -> SafeString:
    rows = [
        (
            name,
            _UNTOLD if name in past.untold else _value(past.state.get(name)),
            "" if current is None else _same_or_now(past, current, name),
        )
        for name in dict.fromkeys((*(past.state or {}), *past.untold))
        if past.state is not None
    ]
    return table(("Field", "Then", "Now"), rows)


def _same_or_now(past: Past, current: Mapping[str, Any], name: str) -> SafeString | str:
    if past.state is not None and name in past.state and name in current and past.state[name] == current[name]:
        return "the same" if name not in past.untold else _value(current[name])
    if name not in current:
        return ""
    return format_html("<ins>{}</ins>", _value(current[name]))
