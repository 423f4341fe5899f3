"""Where everything is mounted. Imported by nobody."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.routers import DefaultRouter

import accounts.api.v6.urls
import billing.api.v6.urls
import clusters.api.v6.urls
import jobs.api.v6.urls
import jobtypes.api.v6.urls
from accounts.api.v6.views import ApiTokenAuth
from controlplane import health, metrics
from controlplane.access_explained import Access
from controlplane.apps import load_admin

load_admin()
native = DefaultRouter()
native.include_format_suffixes = False
for router in (
    jobs.api.v6.urls.router,
    jobtypes.api.v6.urls.router,
    accounts.api.v6.urls.router,
    clusters.api.v6.urls.router,
    billing.api.v6.urls.router,
):
    native.registry.extend(router.registry)

urlpatterns = [
    # First what is called most: a path is looked for in this order.
    path("", include("jobs.api.mapsor.urls")),
    path("", include("accounts.api.mapsor.urls")),
    path("", include("billing.api.mapsor.urls")),
    path("", include("jobs.api.mapreduce.urls")),
    path("", include("accounts.api.fishjam.urls")),
    path("", include("clusters.api.fishjam.urls")),
    path("", include("billing.api.fishjam.urls")),
    path("", include("billing.api.stripe.urls")),
    path("", include("accounts.api.account.urls")),
    path("v6/", include(native.urls)),
    path("v6/", include(jobs.api.v6.urls.urlpatterns)),
    path("v6/", include(jobtypes.api.v6.urls.urlpatterns)),
    path("v6/", include(accounts.api.v6.urls.urlpatterns)),
    path("v6/", include(clusters.api.v6.urls.urlpatterns)),
    path("v6/", include(billing.api.v6.urls.urlpatterns)),
    path("v6/access/explain/", Access.as_view({"get": "explain"}), name="access-explain"),
    path("api-token-auth/", ApiTokenAuth.as_view(), name="api-token-auth"),
    path("", health.index, name="index"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "schema/swagger/",
        SpectacularSwaggerView.as_view(url_name="schema", permission_classes=[], authentication_classes=[]),
        name="swagger",
    ),
    path(
        "schema/redoc/",
        SpectacularRedocView.as_view(url_name="schema", permission_classes=[], authentication_classes=[]),
        name="redoc",
    ),
]

handler400 = "controlplane.surfaces.bad_request"
handler404 = "controlplane.surfaces.not_found"
handler500 = "controlplane.surfaces.server_error"
