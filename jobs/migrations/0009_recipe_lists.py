"""Indexes for the lists of recipes by type, by customer, and by how they ended."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("jobs", "0008_recipe_nodes"),
        ("jobtypes", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="recipe",
            name="recipe_type",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="jobtypes.recipetype"
            ),
        ),
        migrations.AddIndex(
            model_name="recipe",
            index=models.Index(fields=["recipe_type", "id"], name="recipe_of_type"),
        ),
        migrations.AddIndex(
            model_name="recipe",
            index=models.Index(fields=["customer", "id"], name="recipe_of_customer"),
        ),
        migrations.AddIndex(
            model_name="recipe",
            index=models.Index(
                condition=models.Q(("canceled_at__isnull", False)), fields=["id"], name="recipe_canceled"
            ),
        ),
        migrations.AddIndex(
            model_name="recipe",
            index=models.Index(
                condition=models.Q(("superseded_at__isnull", False)), fields=["id"], name="recipe_superseded"
            ),
        ),
    ]
