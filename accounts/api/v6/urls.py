"""The native resources of accounts; controlplane.urls puts them on the one router."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from accounts.api.v6 import views

router = SimpleRouter()
router.register("users", views.Users, basename="user")
router.register("customers", views.Customers, basename="customer")
router.register("tokens", views.Tokens, basename="token")
