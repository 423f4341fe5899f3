"""What staff may see and do of the fleet: all of them look, admins change."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = ("view_cluster", "view_container", "view_imageversion", "view_location", "view_hostingplace")
ADMIN = ("change_cluster", "change_container", "add_imageversion", "change_imageversion")


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    config = installed.get_app_config("clusters")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="clusters")
    for name, codenames in {"Admin": ADMIN, "Operator": (), "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=(*VIEW, *codenames)))


class Migration(migrations.Migration):
    dependencies = [("clusters", "0006_unarchived"), ("jobs", "0003_staff_groups")]
    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
