"""Job types: their names, versions and revisions; registering, judging and editing them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

from django.db.models import QuerySet
from django.db.models.functions import Lower
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from jobtypes import queries, services
from jobtypes.api.v6 import rows
from jobtypes.api.v6.filters import JobTypeFilter, JobTypeNameFilter, RevisionFilter, VersionFilter
from jobtypes.api.v6.serializers import job_types as serializers
from jobtypes.errors import InvalidDocument
from jobtypes.models import JobType, JobTypeRevision

NAME: Final = OpenApiParameter("name", str, "path", pattern=r"^[\w-]+$")
VERSION: Final = OpenApiParameter("version", str, "path", description="A `+` in it is sent as `%2B`.")
NUMBER: Final = OpenApiParameter("revision_num", {"type": "integer", "minimum": 1}, "path")
REFUSED: Final = OpenApiResponse(
    serializers.RefusalSerializer, description="The request is not valid; `errors` names each fault."
)
NO_CAP: Final = 2**31 - 1

NAME_ORDERS: Final[dict[str, Key]] = {
    "name": Key(Lower("name")),
    "title": Key("title"),
    "icon_code": Key("icon_code", ""),
    "is_published": Key("is_published"),
    "is_active": Key("is_active"),
    "is_paused": Key("is_paused"),
    "is_system": Key("is_system"),
}
ORDERS: Final[Orders] = {
    **NAME_ORDERS,
    "id": Key("pk"),
    "version": Key("version_key"),
    "max_scheduled": Key("max_scheduled", NO_CAP),
    "max_tries": Key("max_tries"),
    "revision_num": Key("revision_num"),
    "docker_image": Key("docker_image"),
    "created": Key("created_at"),
    "deprecated": Key("deprecated_at", LAST_MOMENT),
    "paused": Key("paused_at", LAST_MOMENT),
    "last_modified": Key("modified_at"),
}


class JobTypeNameViewSet(NativeViewSet):
    """The names that there are job types of."""

    queryset = JobType.objects.all()
    serializer_class = serializers.JobTypeNameSerializer
    filterset_class = JobTypeNameFilter
    orders: ClassVar[Orders] = {**NAME_ORDERS, "latest_version": Key("version_key")}
    default_order = ("name",)

    def get_queryset(self) -> QuerySet[JobType]:
        return queries.latest_job_types(user_of(self.request)).defer(*queries.DOCUMENTS)

    def _shown(self, page: Sequence[JobType]) -> list[dict[str, Any]]:
        versions = queries.versions_of(user_of(self.request), [latest.name for latest in page])
        return [rows.job_type_name(latest, versions[latest.name]) for latest in page]

    @extend_schema(
        summary="Names, told by their newest versions",
        operation_id="scale_list_job_type_names",
        description="A name is listed when any of its versions is as the filters say.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), self._shown)


class JobTypeViewSet(NativeViewSet):
    """Job types, by name and version."""

    scopes: ClassVar = {"validation": TokenScope.READ}
    queryset = JobType.objects.all()
    serializer_class = serializers.JobTypeSerializer
    filterset_class = JobTypeFilter
    orders: ClassVar[Orders] = ORDERS
    default_order = ("name", "version")

    def get_queryset(self) -> QuerySet[JobType]:
        return queries.visible_job_types(user_of(self.request)).defer(*queries.DOCUMENTS)

    def handle_exception(self, exc: Exception) -> Response:
        """Refused writes are answered with a verdict, too."""
        response = super().handle_exception(exc)
        if response.status_code == 400 and self.action in ("create", "partial_update"):
            name = exc.name if isinstance(exc, InvalidDocument) else response.data["code"]
            response.data = rows.refusal(response.data, name)
        return response

    @extend_schema(summary="Job types, one row per version", operation_id="scale_list_job_types")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), _listed)

    @extend_schema(
        summary="Register a job type, or edit the one of this name and version",
        operation_id="scale_create_job_type",
        description="Name, version and all that the job needs come from the manifest. An edit answers 200 with a "
        "verdict; what it does not give stays as it is.",
        request=serializers.CreateSerializer,
        responses={
            201: serializers.JobTypeDetailSerializer,
            200: serializers.VerdictSerializer,
            400: REFUSED,
        },
    )
    def create(self, request: Request) -> Response:
        user = user_of(request)
        access.demand(user, "job_types", access.CHANGE)
        wishes = self.taken(serializers.CreateSerializer)

        def save() -> list[str]:
            saved = services.create_job_type(actor=user, **wishes)
            return [str(saved.job_type.pk), "" if saved.created else json.dumps(rows.verdict(saved.verdict))]

        reference, edited = self.once(save)
        if edited:
            return Response(json.loads(edited))
        job_type = queries.find_job_type_by_id(user, int(reference))
        path = reverse("job-type-detail", args=[job_type.name, job_type.version]).replace("+", "%2B")
        return Response(_detail(job_type), status=201, headers={"Location": request.build_absolute_uri(path)})

    @extend_schema(
        summary="Would this job type be accepted?",
        operation_id="scale_validate_job_type",
        description="Saves nothing. Answers 200 also when it would not.",
        request=serializers.ValidateSerializer,
        responses=serializers.VerdictSerializer,
    )
    def validation(self, request: Request) -> Response:
        self.once(list)  # refuses a key that is none; there is nothing to be done twice
        wish = self.taken(serializers.ValidateSerializer)
        return Response(rows.verdict(services.validate_job_type(**wish, user=user_of(request))))

    @extend_schema(
        summary="One version of a job type",
        operation_id="scale_get_job_type",
        parameters=[NAME, VERSION],
        responses=serializers.JobTypeDetailSerializer,
    )
    def retrieve(self, request: Request, name: str, version: str) -> Response:
        return Response(_detail(queries.find_job_type(user_of(request), name, version)))

    @extend_schema(
        summary="Edit a version of a job type",
        operation_id="scale_edit_job_type",
        description="What is not given stays as it is; a configuration replaces the whole one. A manifest or another "
        "image makes a new revision.",
        parameters=[NAME, VERSION],
        request=serializers.EditSerializer,
        responses={200: serializers.VerdictSerializer, 400: REFUSED},
    )
    def partial_update(self, request: Request, name: str, version: str) -> Response:
        user = user_of(request)
        access.demand(user, "job_types", access.CHANGE)
        if isinstance(request.data, dict):
            services.check_documents(request.data.get("manifest"), request.data.get("configuration"))
        job_type = queries.find_job_type(user, name, version)
        wishes = cast(services.Wishes, self.taken(serializers.EditSerializer))
        return Response(rows.verdict(services.edit_job_type(job_type, actor=user, **wishes)))


class VersionViewSet(NativeViewSet):
    """The versions of one name; of a name that there is not, none."""

    queryset = JobType.objects.all()
    serializer_class = serializers.JobTypeSerializer
    filterset_class = VersionFilter
    orders: ClassVar[Orders] = ORDERS
    default_order = ("-version",)

    def get_queryset(self) -> QuerySet[JobType]:
        return queries.visible_job_types(user_of(self.request)).defer(*queries.DOCUMENTS)

    @extend_schema(
        summary="Versions of a job type, the newest first",
        operation_id="scale_list_job_type_versions",
        parameters=[NAME],
    )
    def list(self, request: Request, name: str) -> Response:
        return self.page(self.get_queryset().filter(name=name), _listed)


class RevisionViewSet(NativeViewSet):
    """What a job type has been: its manifests and images."""

    queryset = JobTypeRevision.objects.all()
    serializer_class = serializers.RevisionSerializer
    filterset_class = RevisionFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "revision_num": Key("revision_num"), "created": Key("created_at")}
    default_order = ("-revision_num",)

    @extend_schema(
        summary="Revisions of a version, the newest first",
        operation_id="scale_list_job_type_revisions",
        parameters=[NAME, VERSION],
    )
    def list(self, request: Request, name: str, version: str) -> Response:
        job_type = queries.find_job_type(user_of(request), name, version)
        found = queries.revisions_of(job_type).defer("manifest")
        return self.page(found, lambda page: [rows.revision(each, job_type) for each in page])

    @extend_schema(
        summary="One revision",
        operation_id="scale_get_job_type_revision",
        parameters=[NAME, VERSION, NUMBER],
        responses=serializers.RevisionDetailSerializer,
    )
    def retrieve(self, request: Request, name: str, version: str, revision_num: str) -> Response:
        job_type = queries.find_job_type(user_of(request), name, version)
        return Response(rows.revision_detail(queries.find_revision(job_type, int(revision_num)), job_type))


def _listed(page: Sequence[JobType]) -> list[dict[str, Any]]:
    return [rows.job_type(each) for each in page]


def _detail(job_type: JobType) -> dict[str, Any]:
    return rows.job_type_detail(job_type, queries.recipe_types_of(job_type))
