import gc
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class ControlPlaneConfig(AppConfig):
    name = "controlplane"

    def ready(self) -> None:
        from controlplane import checks  # noqa: F401 - registers the system checks

        logging.captureWarnings(True)  # they are lines of the log, too
        # All that has been loaded stays: to look for garbage in it took a sixth of a start, and again later.
        gc.freeze()
        gc.enable()


class ControlPlaneAdminConfig(SimpleAdminConfig):
    """The admin's pages are loaded with the URLs: workers serve none, and start in three quarters of the time."""

    default_site = "controlplane.admin_site.ControlPlaneAdminSite"

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


@cache
def load_admin() -> None:
    """Find every app's admin.py."""
    admin.autodiscover()
    from controlplane.admin_site import hide_tables
    from controlplane.person_page import tell_of_people

    hide_tables(admin.site)
    tell_of_people(admin.site)


def _check_pages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    load_admin()
    return check_admin_app(app_configs, **kwargs)
