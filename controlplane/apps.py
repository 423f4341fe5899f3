import gc
import logging

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig


class ControlPlaneConfig(AppConfig):
    name = "controlplane"

    def ready(self) -> None:
        from controlplane import checks  # noqa: F401 - registers the system checks

        logging.captureWarnings(True)  # they are lines of the log, too
        # All that has been loaded stays: to look for garbage in it took a sixth of a start, and again later.
        gc.freeze()
        gc.enable()


class ControlPlaneAdminConfig(AdminConfig):
    default_site = "controlplane.admin_site.ControlPlaneAdminSite"

    def ready(self) -> None:
        super().ready()  # finds every app's admin.py
        from controlplane.admin_site import hide_tables
        from controlplane.person_page import tell_of_people

        hide_tables(admin.site)
        tell_of_people(admin.site)
