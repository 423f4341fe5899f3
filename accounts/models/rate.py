"""How often somebody did something lately."""

from __future__ import annotations

from django.db import models


class Rate(models.Model):
    """How often something was done since `began_at`. `key` is a digest: of what, by whom and in which span."""

    key = models.CharField(max_length=64, unique=True)
    began_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["began_at"], name="rate_by_age")]

    def __str__(self) -> str:
        return f"{self.key[:8]}: {self.count}"
