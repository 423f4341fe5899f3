"""The native resources of clusters; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from clusters.api.v6.catalogue import ImageVersions, Locations
from clusters.api.v6.clusters import Clusters, Rollouts
from clusters.api.v6.containers import Containers
from controlplane.core.openapi import REFERENCE

router = SimpleRouter()
router.register("clusters", Clusters, basename="cluster")
router.register("containers", Containers, basename="container")
router.register("image-versions", ImageVersions, basename="image-version")
router.register("locations", Locations, basename="location")

ROLLOUTS = rf"^clusters/(?P<cluster>{REFERENCE})/rollouts/"
ONE = rf"{ROLLOUTS}(?P<pk>{REFERENCE})/"
urlpatterns = [
    re_path(f"{ROLLOUTS}$", Rollouts.as_view({"get": "list", "post": "create"}), name="rollout-list"),
    re_path(f"{ONE}$", Rollouts.as_view({"get": "retrieve"}), name="rollout-detail"),
    re_path(f"{ONE}pause/$", Rollouts.as_view({"post": "pause"}), name="rollout-pause"),
    re_path(f"{ONE}resume/$", Rollouts.as_view({"post": "resume"}), name="rollout-resume"),
    re_path(f"{ONE}roll-back/$", Rollouts.as_view({"post": "roll_back"}), name="rollout-roll-back"),
]
