"""The native resources of accounts; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from accounts.api.v6 import views
from accounts.api.v6.events import Events, EventStream
from accounts.api.v6.limit_requests import LimitRequests
from accounts.api.v6.webhooks import Deliveries, Webhooks
from controlplane.core.openapi import REFERENCE

router = SimpleRouter()
router.register("users", views.Users, basename="user")
router.register("customers", views.Customers, basename="customer")
router.register("tokens", views.Tokens, basename="token")
router.register("limit-change-requests", LimitRequests, basename="limit-change-request")
router.register("webhooks", Webhooks, basename="webhook")

urlpatterns = [
    path("events/", Events.as_view({"get": "read"}), name="events"),
    path("events/stream/", EventStream.as_view({"get": "follow"}), name="event-stream"),
    path("events/schema/", Events.as_view({"get": "schema_of_kinds"}), name="event-schema"),
    re_path(
        rf"^webhooks/(?P<webhook>{REFERENCE})/deliveries/$",
        Deliveries.as_view({"get": "list"}),
        name="webhook-deliveries",
    ),
    re_path(
        rf"^webhooks/(?P<webhook>{REFERENCE})/deliveries/(?P<position>\d{{1,18}})/$",
        Deliveries.as_view({"get": "retrieve"}),
        name="webhook-delivery",
    ),
]
