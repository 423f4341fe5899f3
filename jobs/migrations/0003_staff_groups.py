"""The groups of staff: what each role sees and may press in the admin. Admins are superusers."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

APPS = ("accounts", "jobs")
EXTRA = {"Operator": ("cancel_job", "retry_job"), "Monitor": (), "Admin": ("cancel_job", "retry_job")}


def add(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    for label in APPS:
        config = installed.get_app_config(label)
        create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission")
    views = permission.objects.filter(content_type__app_label__in=APPS, codename__startswith="view_")
    for name, codenames in EXTRA.items():
        made, _ = group.objects.get_or_create(name=name)
        extra = permission.objects.filter(content_type__app_label="jobs", codename__in=codenames)
        made.permissions.set([*views, *extra])


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0002_builtin_errors"),
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
