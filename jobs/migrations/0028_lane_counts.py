"""What waits and is active is counted every few seconds when it is much."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0027_for_reasons"),
    ]

    operations = [
        migrations.CreateModel(
            name="LaneCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("lane_id", models.BigIntegerField()),
                ("status", models.CharField(max_length=12)),
                ("shape", models.CharField(max_length=12)),
                ("code", models.CharField(max_length=64)),
                ("jobs", models.PositiveIntegerField()),
                ("vcpus_milli", models.BigIntegerField()),
                ("memory_mib", models.BigIntegerField()),
                ("since", models.DateTimeField()),
                ("priority", models.IntegerField()),
                ("first", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("lane_id", "status", "shape", "code"), name="lane_count_once")
                ],
            },
        ),
    ]
