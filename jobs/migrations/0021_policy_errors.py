"""The errors that a policy brings about."""

from typing import Any

from django.db import migrations

ERRORS = [
    (
        "no-capacity",
        "There was no room",
        "The place had none, or not in time: the job goes on elsewhere.",
        "SYSTEM",
        True,
    ),
    (
        "max-cost",
        "Its money is spent",
        "What it may cost by its policy is spent, or was about to be.",
        "ALGORITHM",
        False,
    ),
]


def add(apps: Any, schema_editor: Any) -> None:
    error = apps.get_model("jobtypes", "Error")
    for name, title, description, category, retried in ERRORS:
        values = {"title": title, "description": description, "category": category, "should_be_retried": retried}
        error.objects.update_or_create(job_type_name="", name=name, defaults={**values, "is_builtin": True})


class Migration(migrations.Migration):
    dependencies = [("jobs", "0020_policies")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
