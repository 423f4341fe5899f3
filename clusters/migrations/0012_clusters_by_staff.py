"""Admins make clusters in the admin."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations


def add_permission(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; this one is needed now.
    config = installed.get_app_config("clusters")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    permission = apps.get_model("auth", "Permission").objects.get(
        content_type__app_label="clusters", codename="add_cluster"
    )
    apps.get_model("auth", "Group").objects.get(name="Admin").permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0011_beginnings")]
    operations = [migrations.RunPython(add_permission, migrations.RunPython.noop)]
