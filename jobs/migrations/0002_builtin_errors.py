"""The errors that the scheduler itself names."""

from typing import Any

from django.db import migrations

ERRORS = [
    ("exit-code", "The command failed", "It ended with an exit code other than 0.", "ALGORITHM", False),
    ("timeout", "It ran too long", "It was stopped because it ran longer than its timeout.", "ALGORITHM", False),
    ("cannot-start", "It could not be started", "The command or image does not exist there.", "ALGORITHM", False),
    ("lost", "The machine lost it", "The provider, or the machine under it, forgot the execution.", "SYSTEM", True),
    ("interrupted", "The machine was taken away", "The provider took the machine back.", "SYSTEM", True),
    ("canceled-outside", "Stopped outside", "Somebody stopped it at the provider, not here.", "SYSTEM", False),
    ("refused", "The provider refuses it", "It can never run there as it was asked for.", "SYSTEM", False),
    ("database", "Its result could not be stored", "The database refused what the provider said.", "SYSTEM", False),
]


def add(apps: Any, schema_editor: Any) -> None:
    error = apps.get_model("jobs", "Error")
    for name, title, description, category, retried in ERRORS:
        values = {"title": title, "description": description, "category": category, "should_be_retried": retried}
        error.objects.update_or_create(name=name, defaults={**values, "is_builtin": True})


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
