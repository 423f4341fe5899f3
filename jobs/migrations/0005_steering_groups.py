"""What staff may press since jobs can be steered, and the new columns of the jobs that are there."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.models import F
from django.db.models.functions import Coalesce

OPERATOR = (
    *("cancel_job", "retry_job", "requeue_job", "prioritize_job", "hold_job"),
    *("add_operation", "stop_operation", "add_hold", "delete_hold"),
    *("add_gate", "change_gate", "delete_gate", "add_error", "change_error", "add_customer"),
)
NEW = ("view_operation", "view_operationfailure", "view_loadsample")


def add(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    for label in ("accounts", "jobs"):
        config = installed.get_app_config(label)
        create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label__in=("accounts", "jobs"))
    for name, codenames in {"Admin": OPERATOR, "Operator": OPERATOR, "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=(*codenames, *NEW)))


def fill(apps: Any, schema_editor: Any) -> None:
    changed = Coalesce("ended_at", "started_at", "queued_at", "submitted_at")
    apps.get_model("jobs", "Job").objects.update(tries_granted=F("max_tries"), moved_at=changed, modified_at=changed)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_native_surface"), ("jobs", "0003_staff_groups")]
    operations = [
        migrations.RunPython(add, migrations.RunPython.noop),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
