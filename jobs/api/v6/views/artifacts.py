"""Artifacts: the programs of MapReduce jobs, with their versions and bytes."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.connections import give_back
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import ChoicesFilter, FilterSet, TextsFilter
from controlplane.core.pagination import Key, Orders
from controlplane.core.rest import AnyAnswer
from controlplane.core.storage import TooBig
from jobs.api.v6 import artifact_serializers as serializers
from jobs.api.v6.raw_bodies import AnyBody, body_of, length_of
from jobs.api.v6.views.files import BAD_STORAGE, OCTETS, WithoutKey
from jobs.models import Artifact, Protocol
from jobs.queries.artifacts import artifact_storage, find_artifact, find_version, path_of, visible_artifacts
from jobs.services import artifacts as services

NAME: Final = OpenApiParameter("name", str, "path", description="Its name.")
CUSTOMER: Final = OpenApiParameter(
    "customer", str, description="Whose artifact of this name is meant, said by staff; theirs if not given."
)
UPLOAD_PARAMETERS: Final = {
    "name": OpenApiParameter("name", str, required=True, description="A new name, or one to upload a version of."),
    "protocol": OpenApiParameter("protocol", str, enum=Protocol.values, description="Of a new name; else apollo."),
}
WHICH: Final = OpenApiParameter(
    "version", {"type": "integer", "minimum": 1}, description="The present one if not given."
)


class ArtifactFilter(FilterSet):
    """Filters of artifacts."""

    name = TextsFilter(field_name="name", label="name, exactly")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    owner = TextsFilter(field_name="owner__username", label="user name of who uploaded it first")
    protocol = ChoicesFilter(choices=Protocol.values, field_name="protocol", label="how it is spoken to")

    class Meta:
        model = Artifact
        fields: list[str] = []


class ArtifactViewSet(NativeViewSet):
    """Programs of MapReduce jobs."""

    scopes: ClassVar = {"create": TokenScope.SUBMIT}
    queryset = Artifact.objects.all()
    serializer_class = serializers.ArtifactSerializer
    filterset_class = ArtifactFilter
    lookup_field = "name"
    lookup_value_regex = r"[^/]{1,255}"
    orders: ClassVar[Orders] = {
        "last_modified": Key("modified_at"),
        "id": Key("pk"),
        "created": Key("created_at"),
        "name": Key("name"),
        "size": Key("size"),
    }
    default_order = ("last_modified",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"content": (400,)}
    schema = WithoutKey()

    def get_parsers(self) -> list[BaseParser]:
        """What is posted is a program, whatever is in it."""
        request = getattr(self, "request", None)
        return [AnyBody()] if request is not None and request.method == "POST" else super().get_parsers()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.action == "create":
            # Past NativeViewSet's own, which would read the whole body for an Idempotency-Key.
            GenericViewSet.initial(self, request, *args, **kwargs)
        else:
            super().initial(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Artifact]:
        return visible_artifacts(user_of(self.request)).select_related("customer", "owner")

    def _found(self, name: str, action: str) -> Artifact:
        return find_artifact(user_of(self.request), name, action, customer=self.request.query_params.get("customer"))

    @extend_schema(
        summary="Programs of MapReduce jobs, by default in the order in which they changed",
        description="Staff see all, a customer's user those of the customer.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [serializers.artifact(each) for each in page])

    @extend_schema(
        summary="Upload a program, or a new version of one",
        description="The body is the program as it is. The bytes that it has already make no version.",
        parameters=[*UPLOAD_PARAMETERS.values()],
        request={OCTETS: OpenApiTypes.BINARY},
        responses={201: serializers.ArtifactSerializer, 502: BAD_STORAGE},
        filters=False,
    )
    def create(self, request: Request) -> Response:
        user, wish = user_of(request), _upload_wish(request)
        length, limit = length_of(request._request), services.max_artifact_bytes()
        if length is not None and length > limit:
            raise TooBig(limit)
        made = services.put_artifact(actor=user, source=body_of(request._request), **wish)
        return self.made(serializers.artifact(made), "artifact-detail", made.name)

    @extend_schema(summary="One program, by name", parameters=[NAME, CUSTOMER])
    def retrieve(self, request: Request, name: str) -> Response:
        return Response(serializers.artifact(self._found(name, access.READ)))

    @extend_schema(
        summary="Say how a program is spoken to",
        parameters=[NAME, CUSTOMER],
        request=serializers.ArtifactChangeSerializer,
        responses=serializers.ArtifactSerializer,
    )
    def partial_update(self, request: Request, name: str) -> Response:
        found = self._found(name, access.CHANGE)
        wish = self.taken(serializers.ArtifactChangeSerializer)
        services.edit_artifact(found, actor=user_of(request), **wish)
        return Response(serializers.artifact(self._found(name, access.READ)))

    @extend_schema(
        summary="Delete a program",
        description="With all its versions.",
        parameters=[NAME, CUSTOMER],
        responses={204: OpenApiResponse(description="Deleted.")},
    )
    def destroy(self, request: Request, name: str) -> Response:
        services.delete_artifact(self._found(name, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(
        summary="Versions of a program, the newest first",
        operation_id="list_artifact_versions",
        parameters=[NAME, CUSTOMER],
        responses=serializers.ArtifactVersionSerializer(many=True),
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=())
    def versions(self, request: Request, name: str) -> Response:
        rows = self._found(name, access.READ).versions.select_related("created_by").order_by("-number")
        return Response([serializers.version(each) for each in rows])

    # --- Bytes -----------------------------------------------------------------------------------

    @extend_schema(
        summary="The bytes of a program",
        operation_id="get_artifact_content",
        parameters=[NAME, CUSTOMER, WHICH],
        responses={(200, OCTETS): OpenApiResponse(OpenApiTypes.BINARY, description="The program."), 502: BAD_STORAGE},
        filters=False,
    )
    @action(
        detail=True,
        methods=["get"],
        renderer_classes=[JSONRenderer],
        content_negotiation_class=AnyAnswer,
        pagination_class=None,
        filter_backends=(),
    )
    def content(self, request: Request, name: str) -> HttpResponseBase:
        found = self._found(name, access.READ)
        version = find_version(found, _number(request) or found.version)
        storage = artifact_storage()
        give_back()
        answer = StreamingHttpResponse(storage.get(path_of(version)), content_type=OCTETS)
        answer["Content-Length"] = str(version.size)
        answer["Content-Disposition"] = content_disposition_header(True, found.name) or "attachment"
        answer["ETag"] = f'"{version.sha256}"'
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "private, no-cache"
        return answer


def _upload_wish(request: Request) -> dict[str, str]:
    """What the address says of the program. Raises InvalidRequest naming the parameter."""
    if "Idempotency-Key" in request.headers:
        message = "An upload takes none: the same bytes again make no version."
        raise InvalidRequest(message, field="Idempotency-Key")
    for name in request.query_params:
        if name not in UPLOAD_PARAMETERS:
            message = f"There is no such parameter; there is {', '.join(UPLOAD_PARAMETERS)}."
            raise InvalidRequest(message, field=name[:64])
    wish = {name: text for name in UPLOAD_PARAMETERS if (text := request.query_params.get(name))}
    if "name" not in wish:
        raise InvalidRequest("This is needed.", field="name")
    if request.query_params.get("protocol") == "":
        raise InvalidRequest(f"This is one of {', '.join(Protocol.values)}.", field="protocol")
    return wish


def _number(request: Request) -> int | None:
    given = request.query_params.get("version")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and 0 < len(given) < 11 and int(given) > 0):
        raise InvalidRequest("This is a number of a version, 1 or more.", field="version")
    return int(given)
