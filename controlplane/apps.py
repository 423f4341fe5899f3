from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig


class ControlPlaneConfig(AppConfig):
    name = "controlplane"

    def ready(self) -> None:
        from controlplane import checks  # noqa: F401 - registers the system checks


class ControlPlaneAdminConfig(AdminConfig):
    default_site = "controlplane.admin_site.ControlPlaneAdminSite"

    def ready(self) -> None:
        super().ready()  # finds every app's admin.py
        from controlplane.admin_site import hide_task_tables

        hide_task_tables(admin.site)
