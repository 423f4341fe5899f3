"""Holds and quotas: what keeps jobs from starting, or from being submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.errors import InvalidRequest
from controlplane.core.pagination import Key, Orders
from jobs import queries, services
from jobs.api.v6 import rows, serializers
from jobs.api.v6.filters import HoldFilter, QuotaFilter
from jobs.errors import HoldNotFound, JobState, QuotaExists, QuotaNotFound
from jobs.models import Gate, Hold, Scope


class HoldViewSet(NativeViewSet):
    """What is held, by whom, since when and why."""

    queryset = Hold.objects.all()
    serializer_class = serializers.HoldSerializer
    filterset_class = HoldFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "since": Key("since")}

    def get_queryset(self) -> QuerySet[Hold]:
        return queries.visible_holds(user_of(self.request))

    def _hold(self, pk: str) -> Hold:
        found = self.get_queryset().filter(pk=pk).first()
        if found is None:
            raise HoldNotFound
        return found

    def _shown(self, hold: Hold) -> dict[str, Any]:
        return _holds([hold])[0]

    @extend_schema(summary="Holds")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), _holds)

    @extend_schema(summary="One hold")
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._shown(self._hold(pk)))

    @extend_schema(summary="Let nothing start in a scope until the hold is lifted")
    def create(self, request: Request) -> Response:
        user = user_of(request)
        queries.check_may_steer(user)
        wish = self.taken()
        scope_id = queries.scope_id_of(wish["scope"], wish)
        hint = wish.get("hint", "")

        def place() -> list[str]:
            if wish["scope"] == Scope.JOB:
                if wish.get("code", queries.HELD) != queries.HELD:
                    raise InvalidRequest(f"A single job is held as {queries.HELD}.", field="code")
                if not services.hold_jobs([int(scope_id)], hint=hint, actor=user):
                    raise JobState("The job does not wait, or is held already.", field="job")
                return [str(Hold.objects.get(scope=Scope.JOB, scope_id=scope_id, code=queries.HELD).pk)]
            code = wish.get("code", queries.HELD)
            hold = services.place_hold(scope=wish["scope"], scope_id=scope_id, code=code, hint=hint, actor=user)
            return [str(hold.pk)]

        hold = self._hold(self.once(place)[0])
        return self.made(self._shown(hold), "hold-detail", hold.pk)

    @extend_schema(summary="Lift a hold")
    def destroy(self, request: Request, pk: str) -> Response:
        user, hold = user_of(request), self._hold(pk)
        queries.check_may_steer(user)
        services.lift_hold(hold, actor=user)
        return Response(status=204)


class QuotaViewSet(NativeViewSet):
    """What may be active at once, and queued, in a scope."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Gate.objects.all()
    serializer_class = serializers.QuotaSerializer
    filterset_class = QuotaFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "since": Key("since")}
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"create": (409,)}

    def get_queryset(self) -> QuerySet[Gate]:
        return queries.visible_quotas(user_of(self.request))

    def _gate(self, pk: str) -> Gate:
        found = self.get_queryset().filter(pk=pk).first()
        if found is None:
            raise QuotaNotFound
        return found

    def _shown(self, gate: Gate) -> dict[str, Any]:
        return _quotas([gate])[0]

    @extend_schema(summary="Quotas")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), _quotas)

    @extend_schema(summary="One quota")
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._shown(self._gate(pk)))

    @extend_schema(summary="Bound what may be active at once, or queued, in a scope")
    def create(self, request: Request) -> Response:
        user = user_of(request)
        queries.check_may_steer(user)
        wish = self.taken()
        scope_id = queries.scope_id_of(wish["scope"], wish)

        def cap() -> list[str]:
            if Gate.objects.filter(scope=wish["scope"], scope_id=scope_id).exists():
                raise QuotaExists(field="scope")
            gate = services.set_cap(
                scope=wish["scope"], scope_id=scope_id, **_limits(wish), hint=wish.get("hint", ""), actor=user
            )
            return [str(gate.pk)]

        gate = self._gate(self.once(cap)[0])
        return self.made(self._shown(gate), "quota-detail", gate.pk)

    @extend_schema(
        summary="Change a quota", request=serializers.QuotaChangeSerializer, responses=serializers.QuotaSerializer
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        user, gate = user_of(request), self._gate(pk)
        queries.check_may_steer(user)
        wish = {**self._shown(gate), **self.taken(serializers.QuotaChangeSerializer)}
        services.set_cap(scope=gate.scope, scope_id=gate.scope_id, **_limits(wish), hint=wish["hint"], actor=user)
        return Response(self._shown(self._gate(pk)))

    @extend_schema(summary="Take a quota away")
    def destroy(self, request: Request, pk: str) -> Response:
        user, gate = user_of(request), self._gate(pk)
        queries.check_may_steer(user)
        services.lift_cap(gate, actor=user)
        return Response(status=204)


def _holds(page: Sequence[Hold]) -> list[dict[str, Any]]:
    names = queries.names_of(page)
    return [rows.hold(each, names) for each in page]


def _quotas(page: Sequence[Gate]) -> list[dict[str, Any]]:
    names = queries.names_of(page)
    return [rows.quota(each, names) for each in page]


def _limits(wish: dict[str, Any]) -> dict[str, int | None]:
    vcpus = wish.get("max_vcpus")
    return {
        "max_jobs": wish.get("max_jobs"),
        "max_vcpus_milli": None if vcpus is None else round(vcpus * 1000),
        "max_queued_jobs": wish.get("max_queued_jobs"),
    }
