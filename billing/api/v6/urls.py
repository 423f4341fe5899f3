"""The native resources of billing; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api.v6.payments import Portal

router = SimpleRouter()

urlpatterns = [path("payments/portal/", Portal.as_view({"post": "make"}), name="payments-portal")]
