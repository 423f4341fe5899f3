"""Workspaces: where files lie."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from controlplane.core.pagination import Key, Orders
from jobtypes import queries, services
from jobtypes.api.v6 import rows, workspace_rows
from jobtypes.api.v6.serializers import workspaces as serializers
from jobtypes.api.v6.serializers.job_types import VerdictSerializer
from jobtypes.api.v6.workspace_filters import WorkspaceFilter
from jobtypes.models import Workspace


class WorkspaceViewSet(NativeViewSet):
    """A folder, a bucket or a container, in which files lie."""

    queryset = Workspace.objects.all()
    serializer_class = serializers.WorkspaceSerializer
    filterset_class = WorkspaceFilter
    lookup_value_regex = "[A-Za-z0-9_-]{1,50}"
    orders: ClassVar[Orders] = {
        "name": Key("name"),
        "id": Key("pk"),
        "title": Key("title"),
        "is_active": Key("is_active"),
        "created": Key("created_at"),
        "last_modified": Key("modified_at"),
    }
    default_order = ("name",)

    def get_queryset(self) -> QuerySet[Workspace]:
        return queries.visible_workspaces(user_of(self.request))

    @extend_schema(summary="Workspaces, by name")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [workspace_rows.workspace(each) for each in page])

    @extend_schema(
        summary="One workspace, by id or name",
        description="Staff see its configuration, too, without secrets.",
        responses=serializers.WorkspaceDetailSerializer,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._shown(pk))

    @extend_schema(
        summary="Make a workspace",
        description="For operators. Its storage is not asked: `/v6/workspaces/validation/` tries that. There is none "
        "until one is made here. A folder is made when it lies in `workspaces` of the data folder.",
        request=serializers.NewWorkspaceSerializer,
        responses={201: serializers.WorkspaceDetailSerializer},
    )
    def create(self, request: Request) -> Response:
        user = user_of(request)
        access.demand(user, "job_types", access.CHANGE)
        wish = self.taken(serializers.NewWorkspaceSerializer)
        made = self.once(lambda: [str(services.create_workspace(**wish, actor=user).pk)])[0]
        return self.made(self._shown(made), "workspace-detail", made)

    @extend_schema(
        summary="Change a workspace",
        description="For operators. Its files stay where they are, also when its configuration changes.",
        request=serializers.WorkspaceChangeSerializer,
        responses={204: OpenApiResponse(description="Changed.")},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        workspace = queries.find_workspace(user, pk)
        access.demand(user, "job_types", access.CHANGE)
        services.edit_workspace(workspace, actor=user, **self.taken(serializers.WorkspaceChangeSerializer))
        return Response(status=204)

    @extend_schema(
        summary="Try a workspace without making it",
        operation_id="validate_workspace",
        description="For operators. A small file is written to its storage, read and deleted.",
        request=serializers.NewWorkspaceSerializer,
        responses={200: VerdictSerializer},
    )
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=())
    def validation(self, request: Request) -> Response:
        access.demand(user_of(request), "job_types", access.CHANGE)
        wish = self.taken(serializers.NewWorkspaceSerializer)
        self.once(list)  # a key that is none is refused; nothing is made that it could keep from being made twice
        verdict = services.validate_workspace(configuration=wish["configuration"], name=wish.get("name", ""))
        return Response(rows.verdict(verdict))

    def _shown(self, reference: str) -> dict[str, Any]:
        user = user_of(self.request)
        return workspace_rows.workspace_detail(queries.find_workspace(user, reference), user)
