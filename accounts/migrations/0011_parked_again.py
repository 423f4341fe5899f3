"""Parked events are tried again or dismissed by admins and operators, all of the staff see them."""

from typing import Any

import django.utils.timezone
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations, models


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    config = installed.get_app_config("accounts")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="accounts")
    change = ("change_parkedevent", "delete_parkedevent")
    for name, codenames in {"Admin": change, "Operator": change, "Monitor": ()}.items():
        group = apps.get_model("auth", "Group").objects.get(name=name)
        group.permissions.add(*permission.filter(codename__in=("view_parkedevent", *codenames)))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_times_disabled"),
        ("jobs", "0003_staff_groups"),
    ]

    operations = [
        migrations.AddField(
            model_name="follower",
            name="takes_parked",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="parkedevent",
            name="again",
            field=models.BooleanField(db_default=False, default=False, help_text="Staff want it to be tried again."),
        ),
        migrations.AlterField(
            model_name="parkedevent",
            name="at",
            field=models.DateTimeField(default=django.utils.timezone.now, help_text="When it failed the last time."),
        ),
        migrations.RunPython(add_permissions, migrations.RunPython.noop),
    ]
