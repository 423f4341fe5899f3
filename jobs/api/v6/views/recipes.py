"""Recipes: chains of jobs, made from a recipe type."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope, User
from controlplane.core.errors import InvalidRequest
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from jobs import queries
from jobs.api.fields import check_customer
from jobs.api.v6 import recipe_rows
from jobs.api.v6 import recipe_serializers as serializers
from jobs.api.v6.recipe_filters import RecipeFilter
from jobs.models import Recipe
from jobs.queries.recipes import find_recipe, visible_recipes
from jobs.services import check_place
from jobs.services.places import place_id
from jobs.services.recipes import cancel_recipe, create_recipe, reprocess_recipe
from jobtypes.errors import RecipeTypeNotFound
from jobtypes.models import RecipeType
from jobtypes.queries.recipe_types import visible_recipe_types


class RecipeViewSet(NativeViewSet):
    """Recipes, those inside others among them."""

    scopes: ClassVar = {"create": TokenScope.SUBMIT}
    queryset = Recipe.objects.all()
    serializer_class = serializers.RecipeSerializer
    filterset_class = RecipeFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {
        "last_modified": Key("modified_at"),
        "id": Key("pk"),
        "created": Key("created_at"),
        "completed": Key("completed_at", LAST_MOMENT),
        "canceled": Key("canceled_at", LAST_MOMENT),
        "superseded": Key("superseded_at", LAST_MOMENT),
        "recipe_type__name": Key("recipe_type__name"),
    }
    default_order = ("last_modified",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"create": (404,)}

    def get_queryset(self) -> QuerySet[Recipe]:
        return visible_recipes(user_of(self.request))

    def _shown(self, reference: str) -> dict[str, Any]:
        return recipe_rows.recipe_detail(find_recipe(user_of(self.request), reference, access.READ))

    @extend_schema(
        summary="Recipes, by default in the order in which they changed",
        description="Staff see all recipes, a customer's user those of the customer.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), recipe_rows.recipes)

    @extend_schema(
        summary="Run a recipe type",
        description="Jobs that wait for nothing are queued, others are PENDING until those before them are done. What "
        "a condition may skip is made when the condition has decided.",
        request=serializers.NewRecipeSerializer,
        responses={201: serializers.RecipeDetailSerializer},
    )
    def create(self, request: Request) -> Response:
        user = user_of(request)
        queries.check_may_submit(user)
        wish = self.taken(serializers.NewRecipeSerializer)
        recipe_type = _recipe_type(user, wish.pop("recipe_type_id", None), wish.pop("recipe_type", None))
        region = wish.setdefault("region", settings.LOCAL_REGION)
        check_place("local", queue=None, command=True)
        place_id("local", region)
        if "customer" in wish:
            check_customer(user, wish["customer"])
        revision = wish.pop("recipe_type_revision", None)

        def create() -> list[str]:
            return [str(create_recipe(owner=user, recipe_type=recipe_type, revision=revision, **wish).pk)]

        made = self.once(create)[0]
        return self.made(self._shown(made), "recipe-detail", made)

    @extend_schema(summary="One recipe, with its nodes", responses=serializers.RecipeDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._shown(pk))

    @extend_schema(
        summary="Stop all jobs of a recipe, and of those inside it",
        operation_id="cancel_recipe",
        description="A job of it that is requeued later lets it go on.",
        request=None,
        responses=serializers.RecipeDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        recipe = find_recipe(user, pk, access.CHANGE)
        self.once(lambda: [str(i) for i in cancel_recipe(recipe, actor=user)])
        return Response(self._shown(str(recipe.pk)))

    @extend_schema(
        summary="Run a recipe anew, as a new recipe that supersedes it",
        operation_id="reprocess_recipe",
        description="Nodes that are done, and the same with all that they depend on, are taken over; others, and those "
        "that are forced, run again. What of the old recipe has not ended is stopped.",
        request=serializers.ReprocessSerializer,
        responses={201: serializers.RecipeDetailSerializer},
    )
    @action(detail=True, methods=["post"])
    def reprocess(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        recipe = find_recipe(user, pk, access.CHANGE)
        wish = self.taken(serializers.ReprocessSerializer)
        forced = wish.get("forced_nodes", {})

        def reprocess() -> list[str]:
            made = reprocess_recipe(
                recipe,
                actor=user,
                revision=wish.get("recipe_type_revision"),
                forced_nodes=forced.get("nodes", ()),
                force_all=forced.get("all", False),
            )
            return [str(made.pk)]

        made = self.once(reprocess)[0]
        return self.made(self._shown(made), "recipe-detail", made)


def _recipe_type(user: User, pk: int | None, name: str | None) -> RecipeType:
    """The recipe type that is named in one way. Raises InvalidRequest, RecipeTypeNotFound."""
    if (pk is None) == (name is None):
        raise InvalidRequest("Name the recipe type, either by its id or as recipe_type.", field="recipe_type_id")
    known = visible_recipe_types(user)
    found = known.filter(**({"name": name} if pk is None else {"pk": pk})).first()
    if found is None:
        raise RecipeTypeNotFound
    return found
