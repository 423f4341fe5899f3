"""What every view of the native surface has: who may call it, keys of idempotency, lists that go on by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api.authentication import NativeSession, TokenAuthentication
from accounts.api.scopes import Scoped, WithinScope
from accounts.idempotency import once
from accounts.models import User
from controlplane.core.filters import Filters
from controlplane.core.pagination import Key, Orders, Pages


def user_of(request: Request) -> User:
    """The user of an authenticated request."""
    assert isinstance(request.user, User)
    return request.user


class NativeViewSet(Scoped, GenericViewSet):  # type: ignore[type-arg] # not generic at run time
    """A resource of the native surface. Each action calls one service or query and shows what it gave.

    `orders` names what its list may be ordered by, `default_order` what it is ordered by unasked. With
    `columns` the list is read as these columns, not as rows of the model.
    """

    authentication_classes = (TokenAuthentication, NativeSession)
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated, WithinScope)
    pagination_class: type[Pages] | None = Pages
    filter_backends: Sequence[type[Filters]] = (Filters,)
    orders: ClassVar[Orders] = {"id": Key("pk")}
    default_order: ClassVar[tuple[str, ...]] = ("id",)
    columns: ClassVar[tuple[str, ...]] = ()
    lookup_value_regex = r"\d{1,18}"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if "Idempotency-Key" in request.headers:
            _ = request.body  # kept before the parser reads it, for `once`
        super().initial(request, *args, **kwargs)

    def once(self, work: Callable[[], list[str]]) -> list[str]:
        """Run `work` at most once per Idempotency-Key, and return the ids it made. Without the header it just runs."""
        request: Request = self.request
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return work()
        head = f"{request.method} {request.path_info}\n".encode()
        return once(user_of(request), key, head + request.body, work)

    def taken(self, kind: Any = None, **more: Any) -> dict[str, Any]:
        """The body, as a serializer reads it: `kind`, else the action's own. Raises DRF's ValidationError."""
        serializer = (kind or self.get_serializer_class())(data=self.request.data, **more)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def page(self, rows: QuerySet[Any], show: Callable[[Any], Any] | None = None) -> Response:
        """One page of `rows`, filtered and ordered as the request asks; `show` writes the page's rows."""
        found = self.paginate_queryset(self.filter_queryset(rows)) or []
        shown = self.get_serializer(found, many=True).data if show is None else show(found)
        answer: Response = self.get_paginated_response(shown)
        return answer

    def made(
        self, shown: Any, route: str, reference: Any, *, status: int = 201, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The answer to a POST that made something: how it is, and where it is from now on."""
        url = reverse(route, args=[reference], request=self.request)
        return Response(shown, status=status, headers={"Location": url, **(headers or {})})
