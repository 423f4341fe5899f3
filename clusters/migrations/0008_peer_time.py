"""How long peers were connected to containers, and offers that long-running containers are priced by."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0007_fleet_groups"),
    ]

    operations = [
        migrations.CreateModel(
            name="PeerReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run", models.CharField(blank=True, max_length=255)),
                ("read_at", models.DateTimeField(null=True)),
                ("values", models.JSONField(default=dict)),
                ("failures", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="PeerTime",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("milliseconds", models.PositiveBigIntegerField()),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="offer",
            name="offer_has_something",
        ),
        migrations.AlterField(
            model_name="offer",
            name="measure",
            field=models.CharField(
                choices=[("machine", "Machine"), ("unit", "Unit"), ("peer", "Peer"), ("container", "Container")],
                default="machine",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("measure", "machine"), ("memory_mib__gt", 0), ("vcpus_milli__gt", 0)),
                    models.Q(("gpus", 0), ("measure", "unit"), ("memory_mib", 0), ("vcpus_milli__gt", 0)),
                    models.Q(("gpus", 0), ("measure", "unit"), ("memory_mib__gt", 0), ("vcpus_milli", 0)),
                    models.Q(
                        ("gpus", 0), ("measure__in", ("peer", "container")), ("memory_mib", 0), ("vcpus_milli", 0)
                    ),
                    _connector="OR",
                ),
                name="offer_has_something",
            ),
        ),
        migrations.AddField(
            model_name="peerreading",
            name="placement",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="peer_reading", to="clusters.placement"
            ),
        ),
        migrations.AddField(
            model_name="peertime",
            name="container",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="peer_times",
                to="clusters.container",
            ),
        ),
        migrations.AddIndex(
            model_name="peertime",
            index=models.Index(fields=["hour", "container"], name="peer_time_of_hour"),
        ),
        migrations.AddConstraint(
            model_name="peertime",
            constraint=models.UniqueConstraint(fields=("container", "hour"), name="peer_time_once"),
        ),
    ]
