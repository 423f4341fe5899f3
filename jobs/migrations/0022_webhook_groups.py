"""What staff may do with webhooks: admins all, the others look."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = ("view_webhook", "view_webhookdelivery")
ADMIN = ("change_webhook", "delete_webhook")


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    config = installed.get_app_config("accounts")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="accounts")
    for name, codenames in {"Admin": ADMIN, "Operator": (), "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=(*VIEW, *codenames)))


class Migration(migrations.Migration):
    dependencies = [("jobs", "0021_policy_errors"), ("accounts", "0004_webhooks")]
    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
