"""The native resources of job types, recipe types and workspaces; controlplane.urls mounts them after those of jobs."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from jobtypes.api.v6.views.errors import ErrorViewSet
from jobtypes.api.v6.views.job_types import (
    JobTypeNameViewSet,
    JobTypeViewSet,
    RevisionViewSet,
    VersionViewSet,
)
from jobtypes.api.v6.views.recipe_types import RecipeRevisionViewSet, RecipeTypeViewSet
from jobtypes.api.v6.views.workspaces import WorkspaceViewSet

router = SimpleRouter()
router.register("errors", ErrorViewSet, "error")
router.register("recipe-types", RecipeTypeViewSet, "recipe-type")
router.register("workspaces", WorkspaceViewSet, "workspace")

NAME = r"^job-types/(?P<name>[\w-]+)/"
VERSION = rf"{NAME}(?P<version>[0-9A-Za-z.+-]+)/"
# Without a router: its own routes would take the fixed words that jobs' urlpatterns mount below /v6/job-types/.
urlpatterns = [
    path("job-type-names/", JobTypeNameViewSet.as_view({"get": "list"}), name="job-type-names"),
    path("job-types/", JobTypeViewSet.as_view({"get": "list", "post": "create"}), name="job-type-list"),
    path("job-types/validation/", JobTypeViewSet.as_view({"post": "validation"}), name="job-type-validation"),
    re_path(rf"{NAME}$", VersionViewSet.as_view({"get": "list"}), name="job-type-versions"),
    re_path(
        rf"{VERSION}$",
        JobTypeViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="job-type-detail",
    ),
    re_path(rf"{VERSION}revisions/$", RevisionViewSet.as_view({"get": "list"}), name="job-type-revisions"),
    re_path(
        rf"{VERSION}revisions/(?P<revision_num>[0-9]{{1,18}})/$",
        RevisionViewSet.as_view({"get": "retrieve"}),
        name="job-type-revision",
    ),
    re_path(
        r"^recipe-types/(?P<name>[\w-]+)/revisions/$",
        RecipeRevisionViewSet.as_view({"get": "list"}),
        name="recipe-type-revisions",
    ),
    re_path(
        r"^recipe-types/(?P<name>[\w-]+)/revisions/(?P<revision_num>\d{1,18})/$",
        RecipeRevisionViewSet.as_view({"get": "retrieve"}),
        name="recipe-type-revision",
    ),
]
