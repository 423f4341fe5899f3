"""Mapsor's calls of a job's machine about itself."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts import access
from accounts.api.mapsor.base import answer
from accounts.api.mapsor.schema import INSTANCE_ID, REGION_IN_PATH
from accounts.models import User
from controlplane.core.logs import name_caller
from jobs import queries, scheduling
from jobs.api.mapsor import serializers
from jobs.api.mapsor.views import Change, declared
from jobs.errors import SpotNotVisible
from jobs.models import Execution
from jobs.services.machines import execution_of_token

_PATH: Final = [REGION_IN_PATH, INSTANCE_ID]
# Summary, answers, and the codes of refusals.
_INFO: Final[tuple[Any, ...]] = (
    "Messaging keys for the job that owns an instance",
    {201: serializers.MapsorInstanceInfoSerializer},
    *(400, 401, 403),
)
_END: Final[tuple[Any, ...]] = (
    "Terminate the instance of a job",
    {201: serializers.MapsorTextSerializer},
    *(400, 401, 403),
)


class OfMachine(Change):
    """An operation on the job of a machine: its own token will do, for its own job, beside an operator's."""

    @classmethod
    def of_machine(cls, request: HttpRequest, token: str, path: dict[str, str]) -> HttpResponseBase | None:
        caller = execution_of_token(token)
        if caller is None:
            return None
        name_caller(f"machine of job {caller.job_id}", "")
        found = scheduling.execution_of_machine(**path)
        if found.pk != caller.pk:
            raise SpotNotVisible
        return cls.say(found)

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        found = scheduling.execution_of_machine(**path)
        queries.find_job(user, str(found.job_id), access.CHANGE)
        return cls.say(found)

    @classmethod
    def say(cls, execution: Execution) -> HttpResponseBase:
        raise TypeError("each operation has its own")


class GetInfo(OfMachine):
    @declared("mapsor_get_instance_info", *_INFO, parameters=_PATH)
    def get(self) -> None:
        """Stands for `say` in the schema."""

    @declared("mapsor_get_instance_info_by_post", *_INFO, parameters=_PATH)
    def post(self) -> None:
        """Stands for `say` in the schema."""

    @classmethod
    def say(cls, execution: Execution) -> HttpResponseBase:
        keys = {"publish_key": settings.PUBNUB_PUBLISH_KEY, "subscribe_key": settings.PUBNUB_SUBSCRIBE_KEY}
        return answer({"job_id": str(execution.job.uuid), **keys}, 201)


class Destroy(OfMachine):
    @declared("mapsor_destroy_instance", *_END, parameters=_PATH)
    def get(self) -> None:
        """Stands for `say` in the schema."""

    @declared("mapsor_destroy_instance_by_post", *_END, parameters=_PATH)
    def post(self) -> None:
        """Stands for `say` in the schema."""

    @classmethod
    def say(cls, execution: Execution) -> HttpResponseBase:
        scheduling.end_machine(execution)
        return answer({"response": "Terminated instance"}, 201)
