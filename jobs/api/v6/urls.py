"""The native resources of jobs; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from controlplane.core.openapi import REFERENCE
from jobs.api.v6.views.artifacts import ArtifactViewSet
from jobs.api.v6.views.failures import FailureClusterViewSet
from jobs.api.v6.views.files import FileViewSet
from jobs.api.v6.views.gates import HoldViewSet, QuotaViewSet
from jobs.api.v6.views.input_files import InputFileViewSet
from jobs.api.v6.views.jobs import ExecutionViewSet, JobViewSet
from jobs.api.v6.views.logs import LogViewSet
from jobs.api.v6.views.operations import BulkViewSet, FailureViewSet, OperationViewSet
from jobs.api.v6.views.policies import JobTypePolicyViewSet
from jobs.api.v6.views.recipes import RecipeViewSet
from jobs.api.v6.views.statistics import PendingViewSet, RunningViewSet, StatusViewSet, SystemFailureViewSet
from jobs.api.v6.views.system import LoadViewSet, SystemViewSet
from jobs.models import Kind
from jobtypes.api.v6.urls import VERSION

router = SimpleRouter()
router.register("jobs", JobViewSet, "job")
router.register("recipes", RecipeViewSet, "recipe")
router.register("files", FileViewSet, "file")
router.register("artifacts", ArtifactViewSet, "artifact")
router.register("operations", OperationViewSet, "operation")
router.register("failure-clusters", FailureClusterViewSet, "failure-cluster")
router.register("holds", HoldViewSet, "hold")
router.register("quotas", QuotaViewSet, "quota")
router.register("load", LoadViewSet, "load")

STREAM = "(?P<stream>stdout|stderr|combined)"
JOB = rf"^jobs/(?P<job>{REFERENCE})/"
urlpatterns = [
    # Fixed words first: no id looks like one.
    *(path(f"jobs/{kind}/", BulkViewSet.as_view({"post": kind}), name=f"jobs-{kind}") for kind in Kind.values),
    re_path(rf"{JOB}executions/$", ExecutionViewSet.as_view({"get": "list"}), name="execution-list"),
    re_path(
        rf"{JOB}executions/(?P<number>\d{{1,5}})/$",
        ExecutionViewSet.as_view({"get": "retrieve"}),
        name="execution-detail",
    ),
    re_path(rf"{JOB}input_files/$", InputFileViewSet.as_view({"get": "list"}), name="job-input-files"),
    re_path(rf"{JOB}logs/{STREAM}/$", LogViewSet.as_view({"get": "of_job"}), name="job-logs"),
    re_path(
        rf"^job-executions/(?P<execution>{REFERENCE})/logs/{STREAM}/$",
        LogViewSet.as_view({"get": "of_execution"}),
        name="execution-logs",
    ),
    path("operations/<int:operation>/failures/", FailureViewSet.as_view({"get": "list"}), name="operation-failures"),
    path("scheduler/", SystemViewSet.as_view({"get": "scheduler", "patch": "pause"}), name="scheduler"),
    path("status/", SystemViewSet.as_view({"get": "status"}), name="system-status"),
    path("version/", SystemViewSet.as_view({"get": "version"}), name="version"),
    path("queue/status/", SystemViewSet.as_view({"get": "queue"}), name="queue-status"),
    # Before the names of job types: none is called like one of these.
    re_path(
        rf"{VERSION}policy/$",
        JobTypePolicyViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
        name="job-type-policy",
    ),
    path("job-types/status/", StatusViewSet.as_view({"get": "list"}), name="job-type-status"),
    path("job-types/pending/", PendingViewSet.as_view({"get": "list"}), name="job-types-pending"),
    path("job-types/running/", RunningViewSet.as_view({"get": "list"}), name="job-types-running"),
    path("job-types/system-failures/", SystemFailureViewSet.as_view({"get": "list"}), name="job-type-failures"),
]
