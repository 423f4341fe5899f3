"""What lists of recipe types can be asked for."""

from __future__ import annotations

from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from controlplane.core.filters import BooleanFilter, FilterSet, TextsFilter, WholesFilter
from jobtypes.models import RecipeType, RecipeTypeRevision


class RecipeTypeFilter(FilterSet):
    """Filters of recipe types."""

    keyword = TextsFilter(method="about", label="in its name, title or description, in any case")
    id = WholesFilter(field_name="id", label="id")
    name = TextsFilter(field_name="name", label="name, exactly")
    is_active = BooleanFilter(field_name="is_active", label="whether there may be new recipes of it")
    is_system = BooleanFilter(field_name="is_system", label="the control plane's own")

    class Meta:
        model = RecipeType
        fields: list[str] = []

    def about(self, rows: QuerySet[RecipeType], name: str, value: list[str]) -> QuerySet[RecipeType]:
        if not value:
            return rows
        fields = ("name", "title", "description")
        return rows.filter(reduce(or_, (Q(**{f"{field}__icontains": text}) for text in value for field in fields)))


class RecipeRevisionFilter(FilterSet):
    """Revisions are not filtered: anything asked for is refused by name."""

    class Meta:
        model = RecipeTypeRevision
        fields: list[str] = []
