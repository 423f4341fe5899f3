"""Apollo's artifacts: parse, call one service or query, say the answer in Apollo's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.parsers import DataAndFiles, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import user_of
from accounts.models import TokenScope
from controlplane.core.errors import InvalidRequest
from controlplane.core.openapi import NativeSchema
from controlplane.core.storage import TooBig
from jobs.api.mapreduce.base import Operation, declared
from jobs.api.mapreduce.serializers import ArtifactSerializer
from jobs.models import Artifact
from jobs.queries.artifacts import find_artifact, own_artifacts
from jobs.services import artifacts as services

PROGRAM: Final = "program"
FILENAME: Final = OpenApiParameter("filename", str, "path", description="Its name: the file's at upload.")


class _Counted(TemporaryFileUploadHandler):
    """Uploads go to files, and end where they become too large."""

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        services.check_name(file_name)  # Django cuts longer ones
        super().new_file(field_name, file_name, *args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        limit = services.max_artifact_bytes()
        if start + len(raw_data) > limit:
            raise TooBig(limit)
        super().receive_data_chunk(raw_data, start)


class ProgramBody(MultiPartParser):
    """multipart/form-data, whatever is in it, without holding it in memory."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles[Any, Any]:
        assert parser_context is not None  # as views call it
        parser_context["request"].upload_handlers = [_Counted()]
        return super().parse(stream, media_type, parser_context)


class WithBody(NativeSchema):
    """A body that is described by hand is needed, too."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None and "requestBody" in operation:
            operation["requestBody"]["required"] = True
        return operation


class Artifacts(Operation):
    noun: ClassVar[str] = "artifact"
    scopes: ClassVar = {"put": TokenScope.SUBMIT}
    parser_classes = (ProgramBody,)
    schema = WithBody()

    @declared("mapreduce_list_artifacts", "All artifacts", {200: ArtifactSerializer(many=True)})
    def get(self, request: Request) -> HttpResponseBase:
        return Response([_shown(each) for each in own_artifacts(user_of(request)).order_by("pk")])

    @declared(
        "mapreduce_put_artifact",
        "Upload a program, or replace the one of the same name",
        {200: ArtifactSerializer},
        *(400, 403, 413, 415),
        request={
            "multipart/form-data": {
                "type": "object",
                "required": [PROGRAM],
                "properties": {
                    PROGRAM: {
                        "type": "string",
                        "contentMediaType": "application/octet-stream",
                        "description": "The executable.",
                    }
                },
            }
        },
    )
    def put(self, request: Request) -> HttpResponseBase:
        user = user_of(request)
        files = request.FILES.getlist(PROGRAM)
        if len(files) != 1 or not files[0].name:
            raise InvalidRequest("One file is wanted, in the field of this name.", field=PROGRAM)
        (program,) = files
        made = services.put_artifact(actor=user, name=str(program.name), source=_chunks(program))
        return Response(_shown(made))


class OneArtifact(Operation):
    noun: ClassVar[str] = "artifact"
    parser_classes = ()

    @declared("mapreduce_get_artifact", "One artifact", {200: ArtifactSerializer}, 404, parameters=[FILENAME])
    def get(self, request: Request, filename: str) -> HttpResponseBase:
        return Response(_shown(find_artifact(user_of(request), filename, access.READ)))

    @declared(
        "mapreduce_delete_artifact",
        "Remove an artifact",
        {204: OpenApiResponse(description="Removed.")},
        *(403, 404),
        parameters=[FILENAME],
    )
    def delete(self, request: Request, filename: str) -> HttpResponseBase:
        user = user_of(request)
        services.delete_artifact(find_artifact(user, filename, access.CHANGE), actor=user)
        return HttpResponse(status=204)


def _chunks(file: UploadedFile[Any]) -> Iterator[bytes]:
    yield from file.chunks()


def _shown(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.name, "type": "executable", "size": artifact.size, "hash": artifact.sha256}
