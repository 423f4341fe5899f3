"""Named ways to fail."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from controlplane.core.errors import InvalidRequest, NotFound
from controlplane.core.pagination import Key, Orders
from jobtypes.api.v6 import rows
from jobtypes.api.v6.filters import ErrorFilter
from jobtypes.api.v6.serializers.errors import ErrorSerializer
from jobtypes.models import Error
from jobtypes.services import create_error, update_error


class ErrorViewSet(NativeViewSet):
    """The named ways to fail."""

    queryset = Error.objects.all()
    serializer_class = ErrorSerializer
    filterset_class = ErrorFilter
    orders: ClassVar[Orders] = {
        "id": Key("pk"),
        "name": Key("name"),
        "title": Key("title"),
        "category": Key("category"),
        "created": Key("created_at"),
        "last_modified": Key("modified_at"),
    }
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"partial_update": (409,)}

    @extend_schema(summary="Errors")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [rows.error(each) for each in page])

    def _error(self, pk: str) -> Error:
        found = Error.objects.filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such error.")
        return found

    @extend_schema(summary="One error")
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(rows.error(self._error(pk)))

    @extend_schema(summary="Name a way to fail")
    def create(self, request: Request) -> Response:
        user = user_of(request)
        access.demand(user, "job_types", access.CHANGE)
        wish = self.taken()
        error = self._error(self.once(lambda: [str(create_error(**wish, actor=user).pk)])[0])
        return self.made(rows.error(error), "error-detail", error.pk)

    @extend_schema(summary="Change an error that the scheduler does not name itself")
    def partial_update(self, request: Request, pk: str) -> Response:
        user, error = user_of(request), self._error(pk)
        access.demand(user, "job_types", access.CHANGE)
        wish = self.taken(partial=True)
        if wish.pop("name", error.name) != error.name:
            raise InvalidRequest("A name stays as it is.", field="name")
        return Response(rows.error(update_error(error, actor=user, **wish)))
