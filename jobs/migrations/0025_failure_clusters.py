"""Failure clusters, and what staff may do with them: admins and operators name them, monitors look."""

from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.apps import apps as installed
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

VIEW = ("view_failurecluster",)
CHANGE = ("change_failurecluster",)


def add_permissions(apps: Any, schema_editor: Any) -> None:
    # Django makes permissions after all migrations have run; these are needed now.
    config = installed.get_app_config("jobs")
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="jobs")
    for name, codenames in {"Admin": CHANGE, "Operator": CHANGE, "Monitor": ()}.items():
        group.objects.get(name=name).permissions.add(*permission.filter(codename__in=(*VIEW, *codenames)))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_standing"),
        ("jobs", "0024_beginnings"),
        ("jobtypes", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FailureCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("span", models.CharField(choices=[("hour", "Hour"), ("day", "Day")], max_length=4)),
                ("begun_at", models.DateTimeField()),
                ("customer_id", models.BigIntegerField(default=0)),
                ("job_type_id", models.BigIntegerField(default=0)),
                ("number", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="FailureCluster",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(editable=False, max_length=40, unique=True)),
                ("title", models.CharField(max_length=200)),
                ("exit_code", models.IntegerField(null=True)),
                ("named_at", models.DateTimeField(null=True)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("total", models.PositiveBigIntegerField(default=0)),
                ("sample_number", models.PositiveSmallIntegerField(help_text="Of the sample's execution.", null=True)),
                ("sample_at", models.DateTimeField(null=True)),
                ("sample_log", models.TextField(blank=True)),
                ("modified_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "error",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="jobtypes.error",
                    ),
                ),
                (
                    "named",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="jobtypes.error",
                    ),
                ),
                (
                    "named_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sample_job",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.BigIntegerField(help_text="Of the event.", unique=True)),
                ("at", models.DateTimeField()),
                ("customer_id", models.BigIntegerField()),
                ("job_type_id", models.BigIntegerField(default=0, help_text="0: none.")),
                ("number", models.PositiveSmallIntegerField(help_text="Of its execution.", null=True)),
                ("exit_code", models.IntegerField(null=True)),
                ("due_at", models.DateTimeField()),
                (
                    "error",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="jobtypes.error",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="jobs.job"
                    ),
                ),
                (
                    "cluster",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="jobs.failurecluster",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="job",
            name="failure_cluster",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="jobs.failurecluster",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("failure_cluster__isnull", False)),
                fields=["failure_cluster", "id"],
                name="job_of_failure_cluster",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("failure_cluster__isnull", False), ("status__in", ("FAILED", "REJECTED"))),
                fields=["failure_cluster", "id"],
                name="job_failed_of_cluster",
            ),
        ),
        migrations.AddField(
            model_name="failurecount",
            name="cluster",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="jobs.failurecluster"
            ),
        ),
        migrations.AddIndex(
            model_name="failurecluster",
            index=models.Index(fields=["last_seen", "id"], name="failure_cluster_recent"),
        ),
        migrations.AddIndex(
            model_name="failurecluster",
            index=models.Index(fields=["error", "first_seen"], name="failure_cluster_of_error"),
        ),
        migrations.AddConstraint(
            model_name="failurecluster",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("named__isnull", True), ("named_at__isnull", True)),
                    models.Q(("named__isnull", False), ("named_at__isnull", False)),
                    _connector="OR",
                ),
                name="failure_cluster_named_at_when_named",
            ),
        ),
        migrations.AddIndex(
            model_name="failure",
            index=models.Index(
                condition=models.Q(("cluster__isnull", True)), fields=["due_at", "id"], name="failure_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="failure",
            index=models.Index(fields=["job", "position"], name="failure_of_job"),
        ),
        migrations.AddIndex(
            model_name="failurecount",
            index=models.Index(fields=["span", "begun_at"], name="failure_count_by_age"),
        ),
        migrations.AddConstraint(
            model_name="failurecount",
            constraint=models.UniqueConstraint(
                fields=("cluster", "span", "begun_at", "customer_id", "job_type_id"), name="failure_count_once"
            ),
        ),
        migrations.RunPython(add_permissions, migrations.RunPython.noop),
    ]
