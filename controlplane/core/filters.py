"""Filters of lists: repeated values are OR-ed, different filters AND-ed; what cannot be read is refused by name."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, Final, Self

import django_filters
import django_filters.rest_framework
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.html import format_html_join
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError as Refused

from controlplane.core.errors import NotFound
from controlplane.core.times import parse_moment
from controlplane.core.unstorable import UNSTORABLE

MAX_VALUES: Final = 10_000
MAX_LENGTH: Final = 1024
# What lists take beside their filters.
NOT_FILTERS: Final = frozenset({"page", "page_size", "order", "after", "before", "format"})


class RepeatedInput(forms.TextInput):
    """A text field on a page for each of any number of values in an address (`?status=FAILED&status=CANCELED`)."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        values = data.getlist(name) if hasattr(data, "getlist") else data.get(name)
        values = values if isinstance(values, list) else [values]
        return [str(value) for value in values if value not in ("", None)]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        """One input for each value, so that a page sends back what it was asked for."""
        values = value if isinstance(value, list) and value else [value if isinstance(value, str) else ""]
        shown = [super(RepeatedInput, self).render(name, each, attrs, renderer) for each in values]
        return format_html_join("", "{}", ((each,) for each in shown))


class SingleInput(forms.TextInput):
    """One text, the last where a list of them is given, as addresses have it."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)
        return (value[-1] if value else None) if isinstance(value, list) else value


class RepeatedField(forms.Field):
    """A list of texts, each read by `read`, which raises ValueError with what is wrong."""

    widget = RepeatedInput

    def __init__(self, *, read: Callable[[str], Any] = str, **more: Any) -> None:
        self._read = read
        super().__init__(**more)

    def to_python(self, value: Any) -> list[Any]:
        values: list[str] = value or []
        if len(values) > MAX_VALUES:
            raise ValidationError(f"This may be given {MAX_VALUES} times at most.")
        return [self._one(each) for each in values]

    def _one(self, text: str) -> Any:
        if UNSTORABLE.search(text) or len(text) > MAX_LENGTH:
            raise ValidationError(f"This is text without NUL of at most {MAX_LENGTH} characters.")
        try:
            return self._read(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class MomentField(forms.Field):
    """An ISO 8601 date-time with zone, or a duration before now."""

    widget = SingleInput

    def to_python(self, value: Any) -> datetime | None:
        if value in (None, ""):
            return None
        moment = parse_moment(str(value))
        if moment is None:
            raise ValidationError("This is an ISO 8601 date-time with zone, or a duration such as PT1H (before now).")
        return moment


class BooleanField(forms.Field):
    """true/t/1 or false/f/0, in any case."""

    widget = SingleInput

    WORDS: ClassVar[dict[str, bool]] = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}

    def to_python(self, value: Any) -> bool | None:
        if value in (None, ""):
            return None
        found = self.WORDS.get(str(value).lower())
        if found is None:
            raise ValidationError("This is true or false.")
        return found

    def validate(self, value: Any) -> None:
        """False is a value."""


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class TextsFilter(django_filters.Filter):
    """`field IN values`, or what `method` makes of the list."""

    field_class = RepeatedField

    def filter(self, qs: QuerySet[Any], value: list[Any]) -> QuerySet[Any]:
        return qs.filter(**{f"{self.field_name}__in": value}) if value else qs


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Reads one of `choices`, in any case."""
    known = {choice.lower(): choice for choice in choices}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(f"This is one of {', '.join(known.values())}.")
        return known[text.lower()]

    return read


class ChoicesFilter(TextsFilter):
    """Like TextsFilter, with only `choices` allowed. An empty value counts as not given, as a form sends it."""

    def __init__(self, *args: Any, choices: Iterable[str], **more: Any) -> None:
        names = list(choices)
        super().__init__(*args, read=one_of(names), **more)
        schema = {"type": "array", "items": {"type": "string", "enum": [*names, ""]}}
        extend_schema_field(schema)(self)  # type: ignore[type-var] # an instance takes it as a class does


def read_reference(text: str) -> int | uuid.UUID:
    """An id or a uuid."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ValueError("This is an id, or a uuid.") from None


def key_of(reference: str, missing: type[NotFound]) -> dict[str, Any]:
    """By what a row is found that is named by its id or uuid. Raises `missing` for what is neither."""
    try:
        key = read_reference(reference)
    except ValueError:
        raise missing from None
    return {"pk": key} if isinstance(key, int) else {"uuid": key}


class ReferencesFilter(TextsFilter):
    """Rows named by id or uuid."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, read=read_reference, **more)

    def filter(self, qs: QuerySet[Any], value: list[Any]) -> QuerySet[Any]:
        if not value:
            return qs
        prefix = "" if self.field_name in ("id", "uuid") else f"{self.field_name}__"
        ids = [each for each in value if isinstance(each, int)]
        uuids = [each for each in value if not isinstance(each, int)]
        return qs.filter(Q(**{f"{prefix}id__in": ids}) | Q(**{f"{prefix}uuid__in": uuids}))


def read_whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError("This is a whole number.")
    return int(text)


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class WholesFilter(TextsFilter):
    """Whole numbers."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, read=read_whole, **more)


@extend_schema_field(OpenApiTypes.STR)
class MomentFilter(django_filters.Filter):
    """A time; `lookup_expr` says on which side of it."""

    field_class = MomentField


@extend_schema_field(OpenApiTypes.BOOL)
class BooleanFilter(django_filters.Filter):
    """Yes or no."""

    field_class = BooleanField


class AbsentFilter(TextsFilter):
    """Asks for what no row here can have, so any value of it finds nothing."""

    def filter(self, qs: QuerySet[Any], value: list[Any]) -> QuerySet[Any]:
        return qs.none() if value else qs


class FilterSet(django_filters.rest_framework.FilterSet):
    """A list's filters. What it does not know is refused by name: a misspelt filter would mean everything."""

    def is_valid(self) -> bool:
        valid = super().is_valid()
        for name in self.unknown():
            self.form.add_error(None, ValidationError("There is no such filter.", params={"field": name}))
            valid = False
        return bool(valid)

    def checked(self) -> Self:
        """Itself, when all of it can be read. Raises DRF's ValidationError."""
        if not self.is_valid():
            raise Refused(self.faults())
        return self

    def unknown(self) -> list[str]:
        return sorted(set(self.data or ()) - set(self.filters) - NOT_FILTERS)

    def faults(self) -> dict[str, list[str]]:
        """What is wrong, by the filter's name."""
        found = {name: [str(each) for each in errors] for name, errors in self.form.errors.items() if name != "__all__"}
        return {**found, **{name: ["There is no such filter."] for name in self.unknown()}}

    def chosen(self) -> dict[str, list[str]]:
        """The filters that were given, in a form that means the same later: a span before now becomes a time."""
        found: dict[str, list[str]] = {}
        for name, value in self.form.cleaned_data.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            if values:
                found[name] = [each.isoformat() if isinstance(each, datetime) else _word(each) for each in values]
        return found


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Filters(DjangoFilterBackend):
    """django-filter's backend, with refusals in the surface's words."""

    def get_filterset_kwargs(self, request: Any, queryset: Any, view: Any) -> dict[str, Any]:
        return {"data": request.query_params, "queryset": queryset, "request": request}

    def filter_queryset(self, request: Any, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if NOT_FILTERS.issuperset(request.query_params):
            return queryset  # most requests; making the form costs as much as a page of rows
        filterset = self.get_filterset(request, queryset, view)
        if not isinstance(filterset, FilterSet):
            return queryset
        found: QuerySet[Any] = filterset.checked().qs
        return found
