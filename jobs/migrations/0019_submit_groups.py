"""Who may submit jobs in the admin."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    create_permissions(installed.get_app_config("jobs"), apps=apps, verbosity=0, using=schema_editor.connection.alias)
    permission = apps.get_model("auth", "Permission").objects
    for group in apps.get_model("auth", "Group").objects.filter(name__in=("Admin", "Operator")):
        group.permissions.add(*permission.filter(content_type__app_label="jobs", codename="add_job"))


class Migration(migrations.Migration):
    dependencies = [("jobs", "0018_price_snapshots")]
    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
