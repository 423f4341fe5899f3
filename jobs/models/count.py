"""How many jobs of a job type are in a state: what moved, and the sums of it."""

from __future__ import annotations

from typing import Final

from django.db import models

# Of BigIntegers in place of foreign keys: these rows are written with every move, and nobody follows them.


class CountDelta(models.Model):
    """A change of a count that is not in the sums yet. Only ever inserted, and deleted by who adds them up.

    `minute`: since the epoch, of the change of status by which the counted jobs came to their state.
    `error_id` 0: none.
    """

    minute = models.BigIntegerField()
    job_type_id = models.BigIntegerField()
    status = models.CharField(max_length=12)
    error_id = models.BigIntegerField(default=0)
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.number:+} {self.status}"


MINUTE: Final = 1
HOUR: Final = 60
ALL: Final = 0


class JobCount(models.Model):
    """How many jobs of a type are in a state to which they came within a span of time.

    `span` is the span's length in minutes, `minute` its beginning in minutes since the epoch; a span of 0
    is all of time.
    """

    job_type_id = models.BigIntegerField()
    span = models.PositiveSmallIntegerField()
    minute = models.BigIntegerField()
    status = models.CharField(max_length=12)
    error_id = models.BigIntegerField(default=0)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job_type_id", "span", "minute", "status", "error_id"], name="job_count_once"
            ),
        ]
        indexes = [models.Index(fields=["span", "minute"], name="job_count_by_age")]

    def __str__(self) -> str:
        return f"{self.number} {self.status}"
