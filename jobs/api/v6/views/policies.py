"""The policies of job types: what their new jobs go by that ask for none of their own."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from jobs import queries, services
from jobs.api.v6 import policy_rows as rows
from jobs.api.v6 import policy_serializers as serializers
from jobs.errors import PolicyNotFound
from jobs.models import JobTypePolicy
from jobs.policy import read_policy
from jobtypes.api.v6.views.job_types import NAME, VERSION
from jobtypes.models import JobType
from jobtypes.queries import find_job_type


@extend_schema(parameters=[NAME, VERSION])
class JobTypePolicyViewSet(NativeViewSet):
    """Where jobs of a type run, how often they are tried, and what they may cost."""

    queryset = JobTypePolicy.objects.all()
    serializer_class = serializers.JobTypePolicySerializer
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"update": (403,), "destroy": (403,)}

    def _job_type(self, name: str, version: str, may: str) -> JobType:
        user = user_of(self.request)
        found = find_job_type(user, name, version)
        if may == access.CHANGE:
            access.enforce(access.decide(user, "job_types", may), PolicyNotFound)
        return found

    def get_object(self) -> JobTypePolicy:
        """Of the job type that the path names. Raises what looking for that does, and PolicyNotFound."""
        found = queries.policy_of_job_type(self._job_type(**self.kwargs, may=access.READ).pk)
        if found is None:
            raise PolicyNotFound
        return found

    @extend_schema(summary="The policy of a job type", operation_id="get_job_type_policy")
    def retrieve(self, request: Request, name: str, version: str) -> Response:
        return Response(rows.of_job_type(self.get_object()))

    @extend_schema(
        summary="Set the policy of a job type",
        operation_id="set_job_type_policy",
        description="For jobs submitted from now on that ask for none of their own. What it says of tries and money "
        "holds for jobs of recipes, too; its places only for those that do not say where they run.",
        request=serializers.PolicySerializer,
    )
    def update(self, request: Request, name: str, version: str) -> Response:
        job_type = self._job_type(name, version, access.CHANGE)
        wish = read_policy(request.data, region=settings.LOCAL_REGION, name="")
        services.set_job_type_policy(job_type, wish, actor=user_of(request))
        return self.retrieve(request, name, version)

    @extend_schema(summary="Let a job type have no policy", operation_id="clear_job_type_policy")
    def destroy(self, request: Request, name: str, version: str) -> Response:
        job_type = self._job_type(name, version, access.CHANGE)
        if not services.clear_job_type_policy(job_type, actor=user_of(request)):
            raise PolicyNotFound
        return Response(status=204)
