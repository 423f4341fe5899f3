"""Indexes for the lists of files by the beginning of a name, by workspace and by kind."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("jobs", "0009_recipe_lists"),
        ("jobtypes", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="file",
            name="workspace",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="jobtypes.workspace"
            ),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(
                fields=["name", "id"], name="file_by_name_start", opclasses=["varchar_pattern_ops", "int8_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(fields=["workspace", "id"], name="file_of_workspace"),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(fields=["file_type", "id"], name="file_of_type"),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(condition=models.Q(("deleted_at__isnull", False)), fields=["id"], name="file_deleted"),
        ),
    ]
