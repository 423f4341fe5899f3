"""What is about to be handed to a cloud, written down before the call."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from controlplane.core.ids import uuid7
from jobs.models.engine import Place


class Submission(models.Model):
    """A group of executions that one call submits. Its uuid is the group's name at the cloud, by which it is found.

    A caller sends it only while its lease holds: `token` is the last caller's, and `calls` how many have begun a
    call that may have reached the cloud. With more than none, the cloud is asked first. `settled_at`: the cloud's
    answer is in the executions, or none of them was to be sent any more. `check_at`: it may have been sent twice,
    so the cloud is asked then for what there is too much of.
    """

    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="+", db_index=False)
    token = models.UUIDField(null=True)
    caller = models.UUIDField(null=True, help_text="Whose lease: of the processes of one machine, one after another.")
    leased_until = models.DateTimeField(null=True)
    calls = models.PositiveSmallIntegerField(default=0)
    detail = models.CharField(max_length=1000, blank=True, help_text="Why it could not be sent, in the cloud's words.")
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)
    check_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["place", "id"], name="submission_open", condition=Q(settled_at__isnull=True)),
            models.Index(fields=["place", "check_at"], name="submission_to_check", condition=Q(check_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.uuid)
