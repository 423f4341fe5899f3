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
