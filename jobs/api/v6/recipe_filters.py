"""What the list of recipes can be asked for."""

from __future__ import annotations

from django.db.models import QuerySet

from controlplane.core.filters import (
    AbsentFilter,
    BooleanFilter,
    FilterSet,
    MomentFilter,
    ReferencesFilter,
    TextsFilter,
    WholesFilter,
)
from jobs.models import Recipe


class RecipeFilter(FilterSet):
    """Filters of recipes. `started` and `ended` are about the last change, as in Scale."""

    recipe_id = ReferencesFilter(field_name="id", label="id or uuid")
    recipe_type_id = WholesFilter(field_name="recipe_type_id", label="id of its recipe type")
    recipe_type_name = TextsFilter(field_name="recipe_type__name", label="name of its recipe type")
    parent = ReferencesFilter(field_name="parent", label="id or uuid of the recipe that it is inside of")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    owner = TextsFilter(field_name="owner__username", label="user name of the owner")
    batch_id = AbsentFilter(label="id of its batch")
    is_superseded = BooleanFilter(method="has_moment", field_name="superseded_at", label="another has taken its place")
    is_completed = BooleanFilter(method="has_moment", field_name="completed_at", label="all of it is done")
    is_canceled = BooleanFilter(method="has_moment", field_name="canceled_at", label="it was canceled")
    started = MomentFilter(field_name="modified_at", lookup_expr="gte", label="changed at or after")
    ended = MomentFilter(field_name="modified_at", lookup_expr="lte", label="changed at or before")

    class Meta:
        model = Recipe
        fields: list[str] = []

    def has_moment(self, rows: QuerySet[Recipe], name: str, value: bool | None) -> QuerySet[Recipe]:
        return rows if value is None else rows.filter(**{f"{name}__isnull": not value})
