"""The files that a job takes in."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from controlplane.core.filters import FilterSet
from controlplane.core.pagination import Key, Orders
from jobs import queries
from jobs.api.v6 import file_rows
from jobs.api.v6 import file_serializers as serializers
from jobs.api.v6.file_filters import InputFileFilter
from jobs.models import File


class InputFileViewSet(NativeViewSet):
    """A job's input files."""

    queryset = File.objects.all()
    serializer_class = serializers.FileSerializer
    filterset_class: type[FilterSet] = InputFileFilter
    columns = queries.LISTED_OF_FILES
    orders: ClassVar[Orders] = {"last_modified": Key("modified_at"), "id": Key("pk"), "file_name": Key("name")}
    default_order = ("last_modified",)

    @extend_schema(
        summary="The files that a job takes in",
        description="`job_input` names inputs of its interface. Who may read the job may read these rows.",
        operation_id="list_job_input_files",
    )
    def list(self, request: Request, job: str) -> Response:
        found = queries.find_job(user_of(request), job, access.READ)
        inputs = queries.files_of(found.input)
        chosen = request.query_params.getlist("job_input") or list(inputs)
        ids = {i for name in chosen for i in inputs.get(name, ())}
        rows: QuerySet[File] = File.objects.filter(pk__in=ids)
        base_url = str(reverse("file-list", request=request))
        return self.page(rows, lambda page: file_rows.files(page, base_url))
