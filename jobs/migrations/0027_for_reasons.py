"""Lists of jobs that ended for a reason go by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0026_throughput")]
    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("reason", ""), _negated=True), fields=["reason", "id"], name="job_for_reason"
            ),
        ),
    ]
