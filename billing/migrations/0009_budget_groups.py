"""What staff may see and do of budgets: all of them look, admins and operators set them."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

CHANGE = ("add_budget", "change_budget", "delete_budget")


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    config = installed.get_app_config("billing")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="billing")
    for name, codenames in {"Admin": CHANGE, "Operator": CHANGE, "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=("view_budget", *codenames)))


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_sending"), ("jobs", "0003_staff_groups")]
    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
