"""What staff may do with artifacts."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = ("view_artifact", "view_artifactversion")
OPERATOR = ("add_artifact", "change_artifact", "delete_artifact")


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    create_permissions(installed.get_app_config("jobs"), apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="jobs")
    for name, codenames in {"Admin": OPERATOR, "Operator": OPERATOR, "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=(*VIEW, *codenames)))


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_artifacts")]
    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
