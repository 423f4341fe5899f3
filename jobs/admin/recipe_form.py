"""The form of a recipe: its fields are the inputs of a recipe type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString

from accounts.models import User
from jobs.admin.forecasts import shown_forecasts
from jobs.admin.input_fields import InputForm, initial_input
from jobs.admin.shape_forms import Made, stated
from jobs.models import MAX_PRIORITY, Job, Recipe
from jobs.services.recipe_forecasts import forecast_recipe
from jobs.services.recipes import create_recipe
from jobtypes.models import RecipeType
from jobtypes.recipe.definition import parse


class RecipeForm(InputForm):
    """A run of a recipe type's newest revision."""

    resource = "recipes"

    region = forms.CharField(max_length=64, required=False, help_text="Of cloud local. Empty: this deployment's own.")
    priority = forms.IntegerField(
        min_value=0, max_value=MAX_PRIORITY, required=False,
        help_text="Of all its jobs; smaller runs first. Empty: that of each job type.",
    )  # fmt: skip

    def __init__(
        self, data: Any, *, actor: User, recipe_type: RecipeType, initial: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(data, actor=actor, initial=initial)
        self.recipe_type = recipe_type
        of_customer = self.fields["customer"]
        of_customer.required, of_customer.help_text = False, f"Who pays. Empty: {settings.DEFAULT_CUSTOMER}."
        self.add_inputs(parse(recipe_type.definition).input.as_manifest())
        self.order_fields([name for name in self.fields if name.startswith("input.")])

    def _wish(self) -> dict[str, Any]:
        wish = self.cleaned_data
        configuration = {} if wish["priority"] is None else {"priority": wish["priority"]}
        named = {name: wish[name] for name in ("customer", "region")}
        return {**named, "input": self.input(), "configuration": configuration}

    def body(self) -> dict[str, Any]:
        return stated({"recipe_type": self.recipe_type.name, **self._wish()})

    def forecast(self) -> SafeString:
        return shown_forecasts(forecast_recipe(owner=self.actor, recipe_type=self.recipe_type, **self._wish()))

    def submit(self, earlier: Job | None) -> Made:
        recipe = create_recipe(owner=self.actor, recipe_type=self.recipe_type, **self._wish())
        return Made(f"recipe {recipe.pk}", reverse("admin:jobs_recipe_change", args=[recipe.pk]))


def initial_recipe(recipe: Recipe) -> dict[str, Any]:
    """What the form begins with to run such a recipe again."""
    interface = parse(recipe.recipe_type.definition).input.as_manifest()
    return {
        "customer": recipe.customer.name,
        "region": recipe.place.region,
        "priority": recipe.configuration.get("priority"),
        **initial_input(recipe.input, interface),
    }
