"""The native resources of job types, recipe types and workspaces; controlplane.urls mounts them after those of jobs."""

from __future__ import annotations

from typing import Any

from rest_framework.routers import SimpleRouter

router = SimpleRouter()
urlpatterns: list[Any] = []
