"""Recipes: the list, a recipe's page, and the buttons that stop it and run it anew."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Customer, User
from controlplane.core.admin import ServiceForm, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin, KeysetChangeList
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form
from jobs import states
from jobs.admin.live import changes
from jobs.admin.recipe_story import badges_of, how_far, recipe_link, story
from jobs.admin.submitting import again_button
from jobs.following import Kind
from jobs.models import Recipe
from jobs.queries.recipes import progress_of
from jobs.services.recipes import cancel_recipe, reprocess_recipe
from jobtypes.models import RecipeType

_AROUND: Final = ("recipe_type", "customer")
_NOT_LISTED: Final = ("input", "configuration", "recipe_type__definition")
# Each is served by an index over the ids, but completed: there it is all but those that the others have.
_STATES: Final = {
    "open": {"completed_at__isnull": True, "canceled_at__isnull": True, "superseded_at__isnull": True},
    "completed": {"completed_at__isnull": False},
    "canceled": {"canceled_at__isnull": False},
    "superseded": {"superseded_at__isnull": False},
}


class RecipeStateFilter(ChoiceFilter):
    title = "state"
    parameters = ("state",)
    words = tuple((state, state) for state in _STATES)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = _STATES.get(self.values["state"][-1])
        return rows.none() if wanted is None else rows.filter(**wanted)


class RecipeTypeFilter(TextFilter):
    title = "recipe type, its whole name"
    parameters = ("recipe_type",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        # By ids that are known: the index over type and id then gives the newest without sorting.
        found = RecipeType.objects.filter(name__in=self.values["recipe_type"])
        return rows.filter(recipe_type__in=list(found.values_list("pk", flat=True)))


class RecipeCustomerFilter(TextFilter):
    title = "customer, its whole name"
    parameters = ("customer",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        found = Customer.objects.filter(name__in=self.values["customer"])
        return rows.filter(customer__in=list(found.values_list("pk", flat=True)))


class RecipeChangeList(KeysetChangeList):
    """A page of recipes, each with how far it is."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        progress = progress_of(self.result_list)
        for row in self.result_list:
            row.progress = progress[row.pk]


class ReprocessForm(ServiceForm):
    recipe_type_revision = forms.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, label="Revision", help_text="Empty: the newest."
    )
    forced_nodes = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Names of nodes that run again although they are done, one in a line, with what depends on them.",
    )
    force_all = forms.BooleanField(required=False, label="All nodes run again")

    def clean_forced_nodes(self) -> list[str]:
        return [name for line in self.cleaned_data["forced_nodes"].splitlines() if (name := line.strip())]


@admin.register(Recipe)
class RecipeAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    list_display = ("number", "of_type", "of_customer", "state", "far", "created", "completed")
    list_display_links = ("number", "of_type")
    list_filter = (RecipeStateFilter, RecipeTypeFilter, RecipeCustomerFilter)
    search_fields = ("uuid",)
    search_help_text = "An id or a whole uuid"
    fields = ("uuid",)
    history_of = "recipe"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recipe]:
        rows = super().get_queryset(request)
        if request.resolver_match is not None and request.resolver_match.url_name == "jobs_recipe_changelist":
            return rows.select_related(*_AROUND).defer(*_NOT_LISTED)
        return rows.select_related(*_AROUND, "revision", "owner", "place").defer("recipe_type__definition")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._changes)
        return [path("<int:pk>/changes/", view, name="jobs_recipe_changes"), *super().get_urls()]

    def _changes(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """What the page of a recipe follows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return changes(request, Kind.RECIPE, pk)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RecipeChangeList]:
        return RecipeChangeList

    def search(self, rows: QuerySet[Recipe], term: str) -> QuerySet[Recipe]:
        try:
            key = read_reference(term)
        except ValueError:
            return rows.none()
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="id")
    def number(self, recipe: Recipe) -> SafeString:
        return format_html("<span title='{}'>{}</span>", recipe.uuid, recipe.pk)

    @admin.display(description="recipe type")
    def of_type(self, recipe: Recipe) -> str:
        return recipe.recipe_type.name

    @admin.display(description="customer")
    def of_customer(self, recipe: Recipe) -> str:
        return recipe.customer.name

    @admin.display(description="state")
    def state(self, recipe: Recipe) -> SafeString:
        return badges_of(recipe)

    @admin.display(description="how far")
    def far(self, recipe: Any) -> str:
        return how_far(recipe.progress)

    @admin.display(description="made")
    def created(self, recipe: Recipe) -> SafeString | str:
        return when(recipe.created_at)

    @admin.display(description="completed")
    def completed(self, recipe: Recipe) -> SafeString | str:
        return when(recipe.completed_at)

    def detail(self, request: HttpRequest, row: Recipe) -> Detail:
        return story(row, request)

    # --- Buttons -------------------------------------------------------------------------------------

    def buttons(self, request: HttpRequest, row: Recipe) -> list[tuple[str, str]]:
        return [*super().buttons(request, row), *again_button(row, request)]

    def row_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="cancel",
                label="Cancel",
                title="Cancel recipe {row.pk}?",
                allowed=lambda request, row: (
                    self.permitted(request, "change") and row.completed_at is None and row.canceled_at is None
                ),
                act=_cancel,
                form=plain_form,
                warning=_cancel_warning,
            ),
            RowPage(
                name="reprocess",
                label="Reprocess",
                title="Run recipe {row.pk} anew?",
                allowed=lambda request, row: (
                    self.permitted(request, "change")
                    and row.parent_id is None
                    and row.superseded_at is None
                    and row.recipe_type.is_active
                ),
                act=_reprocess,
                form=lambda request, row: ReprocessForm(request.POST if request.method == "POST" else None),
                warning=_reprocess_warning,
            ),
        ]


def _alive(row: Recipe) -> int:
    """How many of its jobs have not ended, with those of the recipes inside it."""
    jobs = progress_of([row])[row.pk].jobs
    return sum(count for status, count in jobs.items() if status not in states.FINAL)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _cancel_warning(request: HttpRequest, row: Recipe) -> str:
    text = (
        f"{_jobs(_alive(row))} of it, and of the recipes inside it, that have not ended are stopped, and no more are "
        "made. What runs is stopped, and what it has not saved is lost. A job of it that is requeued afterwards lets "
        "it go on."
    )
    above = f" It is part of recipe {row.parent_id}, which cannot complete then." if row.parent_id else ""
    return text + above


def _cancel(request: HttpRequest, row: Recipe, wish: dict[str, Any], form: Any) -> str:
    stopped = cancel_recipe(row, actor=_user(request))
    return f"Canceled: {_jobs(len(stopped))} stopped or asked to stop."


def _reprocess_warning(request: HttpRequest, row: Recipe) -> str:
    text = (
        f"A new recipe takes its place and this one is superseded, which cannot be undone. It ran revision "
        f"{row.revision.revision_num}; the newest is {row.recipe_type.revision_num}. Nodes that are completed and the "
        "same as before, with all that they depend on, are taken over; the others run again."
    )
    alive = _alive(row)
    return f"{text} {_jobs(alive)} of it that have not ended are stopped." if alive else text


def _reprocess(request: HttpRequest, row: Recipe, wish: dict[str, Any], form: Any) -> str:
    made = reprocess_recipe(
        row,
        actor=_user(request),
        revision=wish["recipe_type_revision"],
        forced_nodes=wish["forced_nodes"],
        force_all=wish["force_all"],
    )
    return format_html("It runs anew as {}.", recipe_link(made.pk))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    return request.user
