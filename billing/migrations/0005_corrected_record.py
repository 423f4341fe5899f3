"""A correction names the record that it is of."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_free_tier")]

    operations = [
        migrations.AddField(
            "usagerecord",
            "corrects_id",
            models.BigIntegerField(null=True, help_text="The record of which it is a correction."),
        ),
        migrations.AddIndex(
            "usagerecord",
            models.Index(fields=["corrects_id"], name="usage_corrects", condition=Q(corrects_id__isnull=False)),
        ),
    ]
