"""What happened.

The event log is append only: its rows are never edited, but that names and addresses of who closes their
account are taken out of them; and what they say of a secret is that it changed, never its value.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models.people import Customer, User


class Event(models.Model):
    """Something that happened: who did what to which subject, and how it was before and after.

    Its references carry no constraint: what happened stays true when the row it speaks of is gone. `position`
    is given after the commit, by whoever reads: an id cursor would pass by what is committed later than its
    successors.
    """

    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=48, help_text="subject.verb, such as job.moved or user.disabled")
    subject_kind = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    actor = models.ForeignKey(
        User, null=True, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )
    customer = models.ForeignKey(
        Customer, null=True, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )
    owner = models.ForeignKey(
        User,
        null=True,
        on_delete=models.DO_NOTHING,
        db_index=False,
        db_constraint=False,
        related_name="+",
        help_text="Whose it is alone: of this customer's users no other is told.",
    )
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    fishjam = models.JSONField(
        null=True, help_text="What Fishjam's webhooks say of it; of most events they say nothing"
    )
    position = models.BigIntegerField(
        null=True, editable=False, help_text="Its place among all events, from 1 without gaps, in the order of commits"
    )

    class Meta:
        indexes = [
            models.Index(fields=["subject_kind", "subject_id", "id"], name="event_of_subject"),
            # Who writes an event pays for this one alone; it holds what nobody has read yet.
            models.Index(fields=["id"], name="event_unnumbered", condition=models.Q(position__isnull=True)),
            models.Index(
                fields=["customer", "position"], name="event_of_customer", condition=models.Q(position__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["position"], name="event_position", condition=models.Q(position__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_kind} {self.subject_id}"


class Follower(models.Model):
    """Somebody who goes through the event log, and up to which position they have come.

    `failures`: how often the event behind `position` could not be dealt with, one after the other. `at_once`: how many
    events are taken at a time while it is not known which of them fails; null for as many as there are. `takes_parked`:
    there are parked events that staff want it to try again.
    """

    name = models.CharField(max_length=64, primary_key=True)
    position = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(default=timezone.now, help_text="When it last moved, or tried to.")
    failures = models.PositiveIntegerField(default=0)
    at_once = models.PositiveIntegerField(null=True)
    takes_parked = models.BooleanField(default=False, db_default=False)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class ParkedEvent(models.Model):
    """An event that a follower could not deal with and has left behind."""

    follower = models.CharField(max_length=64)
    position = models.BigIntegerField()
    kind = models.CharField(max_length=48)
    error = models.CharField(max_length=255)
    at = models.DateTimeField(default=timezone.now, help_text="When it failed the last time.")
    again = models.BooleanField(default=False, db_default=False, help_text="Staff want it to be tried again.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["follower", "position"], name="parked_once")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.position}, left by {self.follower}"
