"""What a MapReduce job is to do, and how far it is with making its tasks."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from jobs.models.artifact import ArtifactVersion, Protocol
from jobs.models.job import Job


class MapReduceSpec(models.Model):
    """The part of a MapReduce job that its row of jobs has no columns for. Its tasks hold only what differs.

    `inputs` are locations as they were asked for, `objects_found` what was found there: [{"input", "key", "size",
    "path"}, …] in the order of reading, null until then. `arguments`: {"mapper": […], "reducer": […], "combiner": […]}.
    `splits` is how many map tasks there are to be, `maps` and `reduces` how many of either have been made.
    `credentials` are encrypted, and empty once the job has ended. Sizes in bytes.
    `to_clear`: something of it lies in MAPREDUCE_CLOUD_STORAGE, which is removed when the job has ended.
    """

    job = models.OneToOneField(Job, primary_key=True, on_delete=models.CASCADE, related_name="mapreduce")
    # What was uploaded stays while a job names it.
    mapper = models.ForeignKey(ArtifactVersion, on_delete=models.PROTECT, related_name="+")
    reducer = models.ForeignKey(ArtifactVersion, on_delete=models.PROTECT, related_name="+")
    combiner = models.ForeignKey(ArtifactVersion, null=True, on_delete=models.PROTECT, related_name="+")
    arguments: models.JSONField[Any, Any] = models.JSONField(default=dict)
    protocol = models.CharField(max_length=16, choices=Protocol.choices)
    reducers = models.PositiveIntegerField()
    split_bytes = models.PositiveBigIntegerField()
    max_parallel = models.PositiveIntegerField(null=True)
    inputs: models.JSONField[Any, Any] = models.JSONField()
    output = models.CharField(max_length=2048)
    use_ssl = models.BooleanField(default=False, help_text="As asked for, of an output without a scheme.")
    credentials = models.TextField(blank=True, editable=False)
    had_credentials = models.BooleanField(default=False)
    objects_found: models.JSONField[Any, Any] = models.JSONField(null=True)
    input_bytes = models.PositiveBigIntegerField(null=True)
    splits = models.PositiveIntegerField(null=True)
    maps = models.PositiveIntegerField(default=0)
    reduces = models.PositiveIntegerField(default=0)
    looks = models.PositiveSmallIntegerField(default=0, help_text="How often its input was looked for.")
    to_clear = models.BooleanField(default=False, db_default=False)
    failure = models.CharField(max_length=1000, blank=True, help_text="Why the job failed, for people.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(reducers__gte=1), name="mapreduce_has_reducers"),
            models.CheckConstraint(condition=Q(split_bytes__gte=1), name="mapreduce_splits_have_bytes"),
        ]
        indexes = [
            models.Index(fields=["job"], name="mapreduce_to_look", condition=Q(splits__isnull=True)),
            models.Index(fields=["job"], name="mapreduce_to_clear", condition=Q(to_clear=True)),
        ]

    def __str__(self) -> str:
        return f"MapReduce of job {self.job_id}"
