"""The native resources of clusters; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from clusters.api.v6.clusters import Clusters, Rollouts
from clusters.api.v6.containers import Containers
from clusters.api.v6.image_versions import ImageVersions, Locations
from clusters.api.v6.prices import OfferViewSet, PriceViewSet
from controlplane.core.openapi import REFERENCE

router = SimpleRouter()
router.register("clusters", Clusters, basename="cluster")
router.register("containers", Containers, basename="container")
router.register("image-versions", ImageVersions, basename="image-version")
router.register("locations", Locations, basename="location")
router.register("offers", OfferViewSet, basename="offer")
router.register("prices", PriceViewSet, basename="price")

_ROLLOUTS = rf"^clusters/(?P<cluster>{REFERENCE})/rollouts/"
_ROLLOUT = rf"{_ROLLOUTS}(?P<rollout>{REFERENCE})/"
urlpatterns = [
    re_path(rf"{_ROLLOUTS}$", Rollouts.as_view({"get": "list", "post": "create"}), name="rollouts"),
    re_path(rf"{_ROLLOUT}$", Rollouts.as_view({"get": "retrieve"}), name="rollout"),
    re_path(rf"{_ROLLOUT}pause/$", Rollouts.as_view({"post": "pause"}), name="rollout-pause"),
    re_path(rf"{_ROLLOUT}resume/$", Rollouts.as_view({"post": "resume"}), name="rollout-resume"),
    re_path(rf"{_ROLLOUT}roll-back/$", Rollouts.as_view({"post": "roll_back"}), name="rollout-roll-back"),
]
