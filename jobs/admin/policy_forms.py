"""A policy as staff type it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from controlplane.core.admin import JsonField, ServiceForm
from controlplane.core.errors import InvalidRequest
from jobs.policy import Policy, read_policy


class PolicyField(JsonField):
    """A policy, written as JSON. Empty is None."""

    def __init__(self, **more: Any) -> None:
        help_text = (
            'Such as {"tries": {"SYSTEM": 5, "DATA": 1}, "backoff_seconds": 10, "max_cost": "2.50"}; places: '
            '[{"cloud": "local", "region": "…", "wait_seconds": 600}]. Empty: none. docs/policies.md says more.'
        )
        super().__init__(**{"rows": 8, "required": False, "help_text": help_text, **more})

    def clean(self, value: Any) -> Policy | None:
        given = super().clean(value)
        if given is None:
            return None
        try:
            return read_policy(given, name="", region=settings.LOCAL_REGION)
        except InvalidRequest as error:
            raise forms.ValidationError(f"{error.field}: {error.message}" if error.field else error.message) from error


class PolicyForm(ServiceForm):
    """What new jobs of a job type go by that ask for no policy of their own."""

    policy = PolicyField()
