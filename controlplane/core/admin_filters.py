"""Filters of the admin's lists that ask the database nothing, and so cost the same however much there is.

Each takes the parameters it names out of the address, and narrows the rows by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest


class ParameterFilter(admin.ListFilter):
    """Base: `values` has what the address gave for each of `parameters`, without empty ones."""

    parameters: ClassVar[Sequence[str]] = ()

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.values: dict[str, list[str]] = {}
        for name in self.parameters:
            # No database keeps a NUL, and PostgreSQL refuses to look for one.
            given = [text for value in params.pop(name, []) if (text := str(value).replace("\0", ""))]
            if given:
                self.values[name] = given

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameters)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.narrow(request, queryset) if self.values else queryset

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """`rows` that match `values`. By default the parameters are the fields' names."""
        return rows.filter(**{f"{name}__in": given for name, given in self.values.items()})

    def kept(self, changelist: Any) -> list[tuple[str, str]]:
        """The other parameters of the address: a form that changes ours sends them along."""
        return [
            (name, value)
            for name, given in changelist.filter_params.items()
            if name not in self.parameters
            for value in given
        ]


class ChoiceFilter(ParameterFilter):
    """One of a few words, each a link."""

    words: ClassVar[Sequence[tuple[str, str]]] = ()

    def choices(self, changelist: Any) -> Iterator[Any]:
        name = self.parameters[0]
        given = self.values.get(name, [])
        yield {"selected": not given, "query_string": changelist.get_query_string(remove=[name]), "display": "All"}
        for value, text in self.words:
            query = changelist.get_query_string({name: value})
            yield {"selected": given == [value], "query_string": query, "display": text}


class TextFilter(ParameterFilter):
    """What people type: an input for each parameter, labelled by `labels`."""

    template = "admin/filter_text.html"
    labels: ClassVar[Sequence[str]] = ()
    shortcuts: ClassVar[Sequence[tuple[str, dict[str, str]]]] = ()

    def choices(self, changelist: Any) -> Iterator[Any]:
        """One entry, which the template takes apart."""
        given = [" ".join(self.values.get(name, [])) for name in self.parameters]
        labels = self.labels or [str(self.title)] * len(self.parameters)
        yield {
            "inputs": list(zip(self.parameters, labels, given, strict=True)),
            "kept": self.kept(changelist),
            "clear": changelist.get_query_string(remove=list(self.parameters)) if self.values else "",
            "shortcuts": [
                (text, changelist.get_query_string({**dict.fromkeys(self.parameters), **wish}))
                for text, wish in self.shortcuts
            ],
        }
