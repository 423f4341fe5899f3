"""The errors that Seed jobs end with, and what staff may do with job types, recipes, files and workspaces."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

SYSTEM, ALGORITHM = "SYSTEM", "ALGORITHM"
ERRORS = [
    ("unknown", "Unknown", "The error that caused the failure is unknown.", SYSTEM, True),
    ("filesystem-io", "Files could not be read or written", "A workspace or a disk failed.", SYSTEM, True),
    ("docker-task-launch", "It could not be started", "The image or its command could not be started.", SYSTEM, True),
    ("pull", "The image could not be had", "The container engine could not pull the image.", SYSTEM, True),
    ("node-lost", "The node was lost", "The machine that ran it has forgotten it, or is gone.", SYSTEM, True),
    ("pre-timeout", "Its input took too long", "Its input files were not there in time.", SYSTEM, True),
    ("post-timeout", "Its output took too long", "Its output files could not be kept in time.", SYSTEM, True),
    ("missing-setting", "A setting is missing", "A setting that it needs has no value.", SYSTEM, False),
    ("missing-mount", "A mount is missing", "A mount of its manifest is not configured, or not there.", SYSTEM, False),
    (
        "algorithm-unknown",
        "The algorithm failed",
        "It ended with an exit code that its manifest does not name.",
        ALGORITHM,
        False,
    ),
    (
        "invalid-results-manifest",
        "Its results cannot be read",
        "seed.outputs.json is not as its manifest says.",
        ALGORITHM,
        False,
    ),
    (
        "missing-required-output",
        "An output is missing",
        "A required output was not there at the end.",
        ALGORITHM,
        False,
    ),
    (
        "unexpected-multiple-outputs",
        "Too many outputs",
        "An output that is a single file was there more than once.",
        ALGORITHM,
        False,
    ),
]
APPS = ("accounts", "jobtypes", "jobs")
OPERATOR = (
    *("add_error", "change_error", "add_jobtype", "change_jobtype", "add_workspace", "change_workspace"),
    *("add_recipetype", "change_recipetype", "add_recipe", "change_recipe", "add_file", "change_file", "delete_file"),
)


def add_errors(apps: Any, schema_editor: Any) -> None:
    error = apps.get_model("jobtypes", "Error")
    for name, title, description, category, retried in ERRORS:
        values = {"title": title, "description": description, "category": category, "should_be_retried": retried}
        error.objects.update_or_create(job_type_name="", name=name, defaults={**values, "is_builtin": True})


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    for label in APPS:
        config = installed.get_app_config(label)
        create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label__in=APPS)
    for name, codenames in {"Admin": OPERATOR, "Operator": OPERATOR, "Monitor": ()}.items():
        made = group.objects.get(name=name)
        made.permissions.add(
            *permission.filter(codename__startswith="view_"), *permission.filter(codename__in=codenames)
        )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_seed_jobs")]
    operations = [
        migrations.RunPython(add_errors, migrations.RunPython.noop),
        migrations.RunPython(add_permissions, migrations.RunPython.noop),
    ]
