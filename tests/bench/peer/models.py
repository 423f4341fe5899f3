import uuid

from django.db import models


class Job(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.TextField()
    status = models.CharField(max_length=12, default="queued")
    owner = models.TextField(default="alice")
    priority = models.IntegerField(default=0)
    spec = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)
    node = models.TextField(null=True)
    attempts = models.IntegerField(default=0)
    queue = models.TextField(default="default")

    class Meta:
        indexes = [
            models.Index(fields=["status", "created_at"], name="peer_st"),
            models.Index(fields=["created_at", "id"], name="peer_cr"),
        ]


class PlainJob(models.Model):
    """Our own table of jobs, for the bare list of it."""

    uuid = models.UUIDField()
    shape = models.TextField()
    owner_id = models.BigIntegerField()
    customer_id = models.BigIntegerField()
    place_id = models.BigIntegerField()
    lane_id = models.BigIntegerField()
    classification = models.TextField()
    image = models.TextField()
    command = models.JSONField()
    tags = models.JSONField()
    vcpus_milli = models.IntegerField()
    memory_mib = models.IntegerField()
    priority = models.IntegerField()
    queue = models.TextField()
    timeout_seconds = models.IntegerField(null=True)
    max_tries = models.IntegerField()
    tries = models.IntegerField()
    retry_of_id = models.BigIntegerField(null=True)
    status = models.TextField()
    reason = models.TextField()
    error_id = models.BigIntegerField(null=True)
    submitted_at = models.DateTimeField()
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "jobs_job"
