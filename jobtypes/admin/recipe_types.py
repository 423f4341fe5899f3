"""Recipe types: drawn, compared by revision, made, edited, deprecated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from controlplane.core.admin import JsonField, SeenForm, ServiceForm, shown_json, when
from controlplane.core.detail_admin import Detail, DetailAdmin, Section
from controlplane.core.graphs import Look
from controlplane.core.service_admin import RowPage, ServiceAdmin, Verdict, plain_form
from jobtypes.admin.recipe_type_story import TONES, changed, drawn, story
from jobtypes.errors import RevisionNotFound
from jobtypes.models import RecipeType, RecipeTypeRevision
from jobtypes.queries.affected import affected_by_recipe_type
from jobtypes.queries.recipe_types import find_recipe_revision
from jobtypes.recipe.definition import parse
from jobtypes.recipe.difference import difference
from jobtypes.seed.verdicts import Finding, listed
from jobtypes.services.recipe_types import create_recipe_type, edit_recipe_type, facts_of, validate_definition

_BIGGEST_NUMBER = 2**31 - 1


class RecipeTypeForm(ServiceForm):
    title = forms.CharField(max_length=128)
    description = forms.CharField(max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 3}))
    definition = JsonField(
        rows=28, help_text="Its inputs and its nodes, as the API takes them. Nodes run the newest revision of what "
        "they name where no revision is named.",
    )  # fmt: skip


class NewRecipeTypeForm(RecipeTypeForm):
    is_active = forms.BooleanField(required=False, initial=True, label="Active", help_text="Recipes can be made of it.")


class EditRecipeTypeForm(RecipeTypeForm, SeenForm):
    auto_update = forms.BooleanField(
        required=False, initial=True, help_text="Recipe types that contain this one take a new revision of it, too."
    )


class CompareForm(ServiceForm):
    before = forms.IntegerField(
        min_value=1, max_value=_BIGGEST_NUMBER, required=False, label="From revision",
        help_text="Empty: the one before.",
    )  # fmt: skip
    after = forms.IntegerField(
        min_value=1, max_value=_BIGGEST_NUMBER, required=False, label="To revision", help_text="Empty: the newest."
    )


@dataclass(frozen=True)
class Checked:
    """What an edit would say; `details` are shown below its findings."""

    errors: Sequence[Finding]
    warnings: Sequence[Finding]
    details: SafeString | str


@admin.register(RecipeType)
class RecipeTypeAdmin(DetailAdmin, ServiceAdmin):
    list_display = ("name", "title", "revision_num", "is_active", "is_system", "modified")
    list_display_links = ("name", "title")
    list_filter = ("is_active",)
    search_fields = ("^name",)
    search_help_text = "How a name begins"
    ordering = ("name",)
    fields = ("name",)
    history_of = "recipe_type"
    add_form = NewRecipeTypeForm
    change_form = EditRecipeTypeForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[RecipeType]:
        rows = super().get_queryset(request)
        is_list = request.resolver_match is not None and str(request.resolver_match.url_name).endswith("changelist")
        return rows.defer("definition") if is_list else rows

    @admin.display(description="changed", ordering="modified_at")
    def modified(self, row: RecipeType) -> SafeString | str:
        return when(row.modified_at)

    def detail(self, request: HttpRequest, row: RecipeType) -> Detail:
        return story(row)

    def buttons(self, request: HttpRequest, row: RecipeType) -> list[tuple[str, str]]:
        compare = reverse("admin:jobtypes_recipetype_compare", args=[row.pk])
        found = [*super().buttons(request, row), ("Compare revisions", compare)]
        if row.is_active and request.user.has_perm("jobs.add_job"):
            found.insert(0, ("Run it", f"{reverse('admin:jobs_job_submit_recipe')}?recipe_type={row.pk}"))
        return found

    # --- Writing -------------------------------------------------------------------------------------

    def may_change(self, request: HttpRequest, row: RecipeType) -> bool:
        return not row.is_system and super().may_change(request, row)

    def row_pages(self) -> list[RowPage]:
        edit, *others = super().row_pages()
        deprecate = RowPage(
            name="deprecate",
            label="Deprecate",
            allowed=lambda request, row: row.is_active and self.may_change(request, row),
            act=self._deprecated,
            form=plain_form,
            warning=_deprecation_warning,
            sets={"is_active": False},
        )
        reactivate = RowPage(
            name="reactivate",
            label="Make active again",
            allowed=lambda request, row: not row.is_active and self.may_change(request, row),
            act=self._reactivated,
            form=plain_form,
            warning=lambda request, row: (
                "Recipes can be made of it again. Its definition is checked first. Recipe "
                "types that contain it stay as they are."
            ),
            sets={"is_active": True},
        )
        return [replace(edit, check=_check_edit), *others, deprecate, reactivate]

    def initial(self, row: RecipeType) -> dict[str, Any]:
        return {name: getattr(row, name) for name in ("title", "description", "definition")}

    def configuration(self, row: RecipeType) -> dict[str, Any]:
        return facts_of(row)

    def restored(self, row: RecipeType, state: Mapping[str, Any]) -> dict[str, Any]:
        found = super().restored(row, state)
        revision = row.revisions.filter(revision_num=state.get("revision_num") or 0).first()
        return {**found, "definition": revision.definition} if revision else found

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> RecipeType:
        return create_recipe_type(**wish, actor=request.user)  # type: ignore[arg-type]

    def check_add(self, request: HttpRequest, wish: dict[str, Any]) -> Verdict:
        return validate_definition(wish["definition"])

    def change(self, request: HttpRequest, row: RecipeType, wish: dict[str, Any], form: Any) -> None:
        # One that stays as it is is not checked again: what it names may have been taken away since.
        definition = None if wish["definition"] == row.definition else wish["definition"]
        verdict = edit_recipe_type(row.name, actor=request.user, **{**wish, "definition": definition})  # type: ignore[arg-type]
        self.warn(request, verdict)

    def _deprecated(self, request: HttpRequest, row: RecipeType, wish: dict[str, Any], form: Any) -> str:
        self.warn(request, edit_recipe_type(row.name, actor=request.user, is_active=False))  # type: ignore[arg-type]
        return f"Deprecated: {row}."

    def _reactivated(self, request: HttpRequest, row: RecipeType, wish: dict[str, Any], form: Any) -> str:
        self.warn(request, edit_recipe_type(row.name, actor=request.user, is_active=True))  # type: ignore[arg-type]
        return f"Active again: {row}."

    # --- Revisions -----------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        compare = path("<int:pk>/compare/", self.admin_site.admin_view(self._compare), name=self._name("compare"))
        return [compare, *super().get_urls()]

    def _compare(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Two revisions, node by node: by default the newest and the one before."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self._row(request, pk)
        form = CompareForm(request.GET)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Revisions of {row.name}",
            "form": form,
            "back": reverse("admin:jobtypes_recipetype_change", args=[pk]),
            "sections": _compared(row, form),
        }
        return TemplateResponse(request, "admin/jobtypes/recipetype/compare.html", context)


def _deprecation_warning(request: HttpRequest, row: RecipeType) -> str:
    text = "No new recipes are made of it, and none can be run anew. Recipes that run go on."
    others = affected_by_recipe_type(row)
    return f"{text} These recipe types contain it, and go inactive with it: {listed(others)}." if others else text


def _check_edit(request: HttpRequest, row: RecipeType, wish: dict[str, Any]) -> Checked:
    found = validate_definition(wish["definition"], name=row.name)
    details = changed(found.difference, only_what_changes=True) if found.is_valid else ""
    return Checked(found.errors, found.warnings, details)


def _compared(row: RecipeType, form: CompareForm) -> list[Section]:
    """What the page of two revisions shows; nothing, and the form says why, when one of them is not there."""
    if not form.is_valid():
        return []
    number = form.cleaned_data["after"] or row.revision_num
    after = _revision(row, number, form, "after")
    earlier = form.cleaned_data["before"] or number - 1
    before = _revision(row, earlier, form, "before") if earlier else None
    if form.errors or after is None:
        return []
    old, new = (parse(before.definition) if before else None), parse(after.definition)
    found = difference(old, new)
    looks = {name: Look(TONES[each.status], each.status) for name, each in found.items()}
    title = f"Revision {number}, and what is other than in {earlier}" if earlier else f"Revision {number}, the first"
    inputs = "What the recipe itself takes has changed." if old is not None and old.input != new.input else ""
    return [
        (title, drawn(new, f"The nodes of {row.name} in revision {number}", looks)),
        ("Inputs", inputs),
        ("Nodes", changed(found)),
        (f"Definition of revision {number}", shown_json(after.definition)),
    ]


def _revision(row: RecipeType, number: int, form: CompareForm, name: str) -> RecipeTypeRevision | None:
    try:
        return find_recipe_revision(row, number)
    except RevisionNotFound as error:
        form.add_error(name, error.message)
        return None
