"""Recipe types and their revisions: making, judging and editing them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from jobtypes.api.v6 import recipe_rows, rows
from jobtypes.api.v6.recipe_filters import RecipeRevisionFilter, RecipeTypeFilter
from jobtypes.api.v6.serializers import recipe_types as serializers
from jobtypes.api.v6.views.job_types import REFUSED
from jobtypes.errors import InvalidDocument
from jobtypes.models import RecipeType, RecipeTypeRevision
from jobtypes.queries.recipe_types import find_recipe_revision, find_recipe_type, visible_recipe_types
from jobtypes.services import recipe_types as services

NAME: Final = OpenApiParameter("name", str, "path", pattern=r"^[\w-]+$")
NUMBER: Final = OpenApiParameter("revision_num", {"type": "integer", "minimum": 1}, "path")
ORDERS: Final[Orders] = {
    "name": Key("name"),
    "id": Key("pk"),
    "title": Key("title"),
    "revision_num": Key("revision_num"),
    "is_active": Key("is_active"),
    "is_system": Key("is_system"),
    "created": Key("created_at"),
    "deprecated": Key("deprecated_at", LAST_MOMENT),
    "last_modified": Key("modified_at"),
}


class RecipeTypeViewSet(NativeViewSet):
    """Recipe types, by name."""

    scopes: ClassVar = {"validation": TokenScope.READ}
    queryset = RecipeType.objects.all()
    serializer_class = serializers.RecipeTypeSerializer
    filterset_class = RecipeTypeFilter
    orders: ClassVar[Orders] = ORDERS
    default_order = ("name",)
    lookup_field = "name"
    lookup_value_regex = r"[\w-]+"
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"validation": (404,)}

    def get_queryset(self) -> QuerySet[RecipeType]:
        return visible_recipe_types(user_of(self.request)).defer("definition")

    def handle_exception(self, exc: Exception) -> Response:
        """Refused writes are answered with a verdict, too."""
        response = super().handle_exception(exc)
        if response.status_code == 400 and self.action in ("create", "partial_update"):
            name = exc.name if isinstance(exc, InvalidDocument) else response.data["code"]
            response.data = rows.refusal(response.data, name)
        return response

    def _shown(self, name: str) -> dict[str, Any]:
        return recipe_rows.recipe_type_detail(find_recipe_type(user_of(self.request), name, access.READ))

    @extend_schema(summary="Recipe types")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), recipe_rows.recipe_types)

    @extend_schema(
        summary="Make a recipe type",
        description="Its name is made from its title. Nodes run the newest revision of their job types where none is "
        "named. A refusal is a verdict, too: `errors` names what is wrong with the definition.",
        request=serializers.RecipeTypeCreateSerializer,
        responses={201: serializers.RecipeTypeDetailSerializer, 400: REFUSED},
    )
    def create(self, request: Request) -> Response:
        user = user_of(request)
        access.demand(user, "job_types", access.CHANGE)
        wish = self.taken(serializers.RecipeTypeCreateSerializer)
        name = self.once(lambda: [services.create_recipe_type(**wish, actor=user).name])[0]
        return self.made(self._shown(name), "recipe-type-detail", name)

    @extend_schema(summary="One recipe type", parameters=[NAME], responses=serializers.RecipeTypeDetailSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        return Response(self._shown(name))

    @extend_schema(
        summary="Edit a recipe type",
        description="What is not given stays as it is. Another definition makes a new revision; recipes that are there "
        "keep the one they have. A refusal is a verdict, too.",
        parameters=[NAME],
        request=serializers.RecipeTypeEditSerializer,
        responses={200: serializers.RecipeVerdictSerializer, 400: REFUSED},
    )
    def partial_update(self, request: Request, name: str) -> Response:
        user = user_of(request)
        find_recipe_type(user, name, access.CHANGE)
        wish = self.taken(serializers.RecipeTypeEditSerializer)
        return Response(recipe_rows.verdict(services.edit_recipe_type(name, actor=user, **wish)))

    @extend_schema(
        summary="Would this recipe type be accepted?",
        operation_id="validate_recipe_type",
        description="Saves nothing. Answers 200 also when it would not. With the `name` of one that is there, `diff` "
        "tells what has changed.",
        request=serializers.RecipeTypeValidateSerializer,
        responses=serializers.RecipeVerdictSerializer,
    )
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=())
    def validation(self, request: Request) -> Response:
        access.demand(user_of(request), "job_types", access.READ)
        wish = self.taken(serializers.RecipeTypeValidateSerializer)
        self.once(list)  # a key that is none is refused; nothing is made that it could keep from being made twice
        found = services.validate_definition(wish["definition"], name=wish.get("name", ""))
        return Response(recipe_rows.verdict(found))


class RecipeRevisionViewSet(NativeViewSet):
    """What a recipe type has been."""

    queryset = RecipeTypeRevision.objects.all()
    serializer_class = serializers.RecipeRevisionSerializer
    filterset_class = RecipeRevisionFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "revision_num": Key("revision_num"), "created": Key("created_at")}
    default_order = ("-revision_num",)

    @extend_schema(summary="Revisions of a recipe type, the newest first", parameters=[NAME])
    def list(self, request: Request, name: str) -> Response:
        found = find_recipe_type(user_of(request), name, access.READ)
        revisions = found.revisions.defer("definition")
        return self.page(revisions, lambda page: [recipe_rows.revision(each, found) for each in page])

    @extend_schema(
        summary="One revision of a recipe type",
        parameters=[NAME, NUMBER],
        responses=serializers.RecipeRevisionDetailSerializer,
    )
    def retrieve(self, request: Request, name: str, revision_num: str) -> Response:
        found = find_recipe_type(user_of(request), name, access.READ)
        return Response(recipe_rows.revision_detail(find_recipe_revision(found, int(revision_num)), found))
