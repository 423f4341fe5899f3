"""Where everything is mounted. Imported by nobody."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

from controlplane import health

urlpatterns = [
    # First what is called most: a path is looked for in this order.
    path("", include("jobs.api.mapsor.urls")),
    path("", include("accounts.api.mapsor.urls")),
    path("", health.index, name="index"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
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
