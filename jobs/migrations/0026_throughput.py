"""How many jobs ended when."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0025_failure_clusters")]
    operations = [
        migrations.CreateModel(
            name="ThroughputSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("status", models.CharField(max_length=12)),
                ("category", models.CharField(blank=True, max_length=16)),
                ("number", models.PositiveIntegerField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("at", "status", "category"), name="throughput_once")],
            },
        ),
    ]
