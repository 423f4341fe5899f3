"""Files: what jobs take in and what they give, with their bytes."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.connections import give_back
from controlplane.core.errors import InvalidRequest
from controlplane.core.openapi import ERROR, REFERENCE, NativeSchema
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from controlplane.core.rest import AnyAnswer
from controlplane.core.storage import TooBig
from controlplane.core.unstorable import UNSTORABLE
from jobs import queries, services
from jobs.api.v6 import file_rows, ranges
from jobs.api.v6 import file_serializers as serializers
from jobs.api.v6.file_filters import FileFilter
from jobs.api.v6.raw_bodies import AnyBody, body_of, length_of
from jobs.errors import FileDeleted
from jobs.models import File
from jobtypes.errors import WorkspaceNotFound
from jobtypes.models import Workspace
from jobtypes.queries import find_workspace, storage_of

OCTETS: Final = "application/octet-stream"
UPLOAD_PARAMETERS: Final = {
    "workspace": OpenApiParameter("workspace", str, required=True, description="Id or name."),
    "path": OpenApiParameter("path", str, required=True, description="Its place in the workspace, not taken yet."),
    "media_type": OpenApiParameter("media_type", str, description="Guessed from the name if not given."),
    "customer": OpenApiParameter("customer", str, description="Whose it is to be, said by staff."),
}
_REFUSAL: Final = {"$ref": f"#/components/schemas/{ERROR}"}
BAD_STORAGE: Final = OpenApiResponse(_REFUSAL, description="The workspace's storage refuses, or does not work.")
CONTENT_HEADERS: Final = [
    OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes, such as `bytes=0-99`."),
    OpenApiParameter("If-Range", str, OpenApiParameter.HEADER, description="The ETag that the range is of."),
    OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of what you have."),
]
CONTENT_ANSWERS: Final[dict[Any, Any]] = {
    (200, OCTETS): OpenApiResponse(OpenApiTypes.BINARY, description="The file, in its own media type."),
    (206, OCTETS): OpenApiResponse(OpenApiTypes.BINARY, description="The range of it that was asked for."),
    304: OpenApiResponse(description="You have it already."),
    416: OpenApiResponse(description="There is no such range; Content-Range says how long the file is."),
    502: BAD_STORAGE,
}


class WithoutKey(NativeSchema):
    """An upload takes no Idempotency-Key: its body is never there as a whole to be compared."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["parameters"] = [each for each in operation["parameters"] if each["name"] != "Idempotency-Key"]
        return operation


class FileViewSet(NativeViewSet):
    """Files in workspaces."""

    scopes: ClassVar = {"create": TokenScope.SUBMIT, "upload": TokenScope.SUBMIT}
    queryset = File.objects.all()
    serializer_class = serializers.FileSerializer
    filterset_class = FileFilter
    columns = queries.LISTED_OF_FILES
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {
        "last_modified": Key("modified_at"),
        "id": Key("pk"),
        "created": Key("created_at"),
        "file_name": Key("name"),
        "file_size": Key("size"),
        "file_type": Key("file_type"),
        "media_type": Key("media_type"),
        "data_started": Key("data_started_at", LAST_MOMENT),
        "data_ended": Key("data_ended_at", LAST_MOMENT),
        "source_started": Key("source_started_at", LAST_MOMENT),
        "source_ended": Key("source_ended_at", LAST_MOMENT),
    }
    default_order = ("last_modified",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"upload": (404,)}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.action == "upload":
            # Past NativeViewSet's own, which would read the whole body for an Idempotency-Key.
            GenericViewSet.initial(self, request, *args, **kwargs)
        else:
            super().initial(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[File, Any]:
        return queries.visible_files(user_of(self.request))

    def _base_url(self) -> str:
        return str(reverse("file-list", request=self.request))

    def _detail(self, reference: str) -> dict[str, Any]:
        return file_rows.file_detail(queries.file_columns(user_of(self.request), reference), self._base_url())

    @extend_schema(
        summary="Files, by default in the order in which they changed",
        description="Staff see all files, a customer's user those of the customer; deleted ones, too, unless "
        "`is_deleted` says otherwise.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: file_rows.files(page, self._base_url()))

    @extend_schema(summary="One file, by id or uuid", responses=serializers.FileDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._detail(pk))

    @extend_schema(
        summary="Register a file that is in a workspace already",
        description="For operators, since whoever names a path gets what is there. To be told apart it is read, "
        "unless its `sha256` is given.",
        request=serializers.NewFileSerializer,
        responses={201: serializers.FileDetailSerializer, 502: BAD_STORAGE},
    )
    def create(self, request: Request) -> Response:
        user = user_of(request)
        access.demand(user, "files", access.CHANGE)
        wish = self.taken(serializers.NewFileSerializer)
        try:
            workspace = _workspace(user, wish.pop("workspace"))
            path, sha256 = wish.pop("file_path"), wish.pop("sha256", "")
            stored = services.measure_file(workspace, path, sha256)

            def register() -> list[str]:
                file = services.register_file(actor=user, workspace=workspace, path=path, stored=stored, **wish)
                return [str(file.pk)]

            made = self.once(register)[0]
        except InvalidRequest as error:
            if error.field == "path":  # as uploads call it
                error.field = "file_path"
            raise
        return self.made(self._detail(made), "file-detail", made)

    @extend_schema(
        summary="Describe a file",
        request=serializers.FileChangeSerializer,
        responses=serializers.FileDetailSerializer,
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        file = queries.find_file(user, pk, access.CHANGE)
        services.edit_file(file, actor=user, **self.taken(serializers.FileChangeSerializer))
        return Response(self._detail(str(file.pk)))

    @extend_schema(
        summary="Delete a file",
        description="Its bytes go, its row stays. Where the storage fails, ask again.",
        responses={204: OpenApiResponse(description="Deleted."), 502: BAD_STORAGE},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        services.delete_file(queries.find_file(user, pk, access.CHANGE), actor=user)
        return Response(status=204)

    # --- Bytes -----------------------------------------------------------------------------------

    @extend_schema(
        summary="Upload a file",
        operation_id="upload_file",
        description="The body is the file as it is, of whatever media type, with a Content-Length or in chunks. "
        "A path is taken once, so a repeated upload is refused with 409.",
        parameters=[*UPLOAD_PARAMETERS.values()],
        request={OCTETS: OpenApiTypes.BINARY},
        responses={201: serializers.FileDetailSerializer, 502: BAD_STORAGE},
        filters=False,
    )
    @action(
        detail=False,
        methods=["post"],
        parser_classes=[AnyBody],
        pagination_class=None,
        filter_backends=(),
        schema=WithoutKey(),
    )
    def upload(self, request: Request) -> Response:
        if "Idempotency-Key" in request.headers:
            message = "An upload takes none: a path is taken once, and a repeated upload is refused with 409."
            raise InvalidRequest(message, field="Idempotency-Key")
        user, wish = user_of(request), _upload_wish(request)
        access.demand(user, "files", access.CHANGE, owner_id=user.pk)
        workspace = _workspace(user, wish.pop("workspace"))
        plain = request._request
        length, limit = length_of(plain), services.max_upload_bytes()
        if length is not None and length > limit:
            raise TooBig(limit)
        file = services.upload_file(actor=user, workspace=workspace, source=body_of(plain), **wish)
        return self.made(self._detail(str(file.pk)), "file-detail", file.pk)

    @extend_schema(
        summary="The bytes of a file",
        operation_id="get_file_content",
        parameters=CONTENT_HEADERS,
        responses=CONTENT_ANSWERS,
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
    def content(self, request: Request, pk: str) -> HttpResponseBase:
        file = queries.find_file(user_of(request), pk, access.READ)
        if file.deleted_at is not None:
            raise FileDeleted
        answer = _content(request, file)
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
        answer["Cache-Control"] = "private, no-cache"
        answer["Accept-Ranges"] = "bytes"
        if file.sha256:
            answer["ETag"] = _etag(file)
        return answer


def _workspace(user: Any, reference: str) -> Workspace:
    try:
        return find_workspace(user, reference)
    except WorkspaceNotFound:
        raise InvalidRequest("There is no workspace of this id or name.", field="workspace") from None


def _upload_wish(request: Request) -> dict[str, str]:
    """What the address says of the file. Raises InvalidRequest naming the parameter."""
    for name in request.query_params:
        if name not in UPLOAD_PARAMETERS:
            message = f"There is no such parameter; there is {', '.join(UPLOAD_PARAMETERS)}."
            raise InvalidRequest(message, field=name[:64])
    wish = {name: text for name in UPLOAD_PARAMETERS if (text := request.query_params.get(name))}
    for name in ("workspace", "path"):
        if name not in wish:
            raise InvalidRequest("This is needed.", field=name)
    for name, text in wish.items():
        if UNSTORABLE.search(text):
            raise InvalidRequest("This holds a NUL or half a surrogate pair.", field=name)
    return wish


def _etag(file: File) -> str:
    return f'"{file.sha256}"' if file.sha256 else ""


def _content(request: Request, file: File) -> HttpResponseBase:
    """The file or the part of it that the request asks for, from here on without a database connection."""
    etag = _etag(file)
    if ranges.is_known(request.headers, etag):
        return HttpResponse(status=304)
    try:
        part = ranges.wanted_part(request.headers, file.size, etag)
    except ranges.Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{file.size}"})
    start, length = (0, file.size) if part is None else (part.start, part.length)
    storage = storage_of(file.workspace)
    give_back()
    answer: HttpResponseBase
    if request.method == "HEAD":
        answer = HttpResponse()
    else:
        answer = StreamingHttpResponse(ranges.cut(storage.get(file.path, start), length))
    answer["Content-Type"] = services.shown_media_type(file)
    answer["Content-Length"] = str(length)
    answer["Content-Disposition"] = content_disposition_header(True, file.name) or "attachment"
    if part is not None:
        answer.status_code = 206
        answer["Content-Range"] = f"bytes {start}-{start + length - 1}/{file.size}"
    return answer
