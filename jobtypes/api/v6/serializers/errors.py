"""Errors."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from jobtypes.api.v6.examples import ERROR, NEW_ERROR, answer, body
from jobtypes.api.v6.serializers.shapes import MomentField, Row
from jobtypes.models import Category


@extend_schema_serializer(examples=[answer("an error", ERROR), body("an error of your own", NEW_ERROR)])
class ErrorSerializer(Row):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(help_text="Lower-case words joined by dashes; cannot be changed.", max_length=64)
    title = serializers.CharField(max_length=128)
    description = serializers.CharField(required=False, allow_blank=True, max_length=4096)
    job_type_name = serializers.CharField(read_only=True, allow_null=True)
    category = serializers.ChoiceField(choices=Category.choices, help_text="Whose fault it is.")
    is_builtin = serializers.BooleanField(read_only=True, help_text="Named by the scheduler itself; not to be changed.")
    should_be_retried = serializers.BooleanField(required=False, help_text="Gives the job another try, if any is left.")
    created = MomentField(read_only=True)
    last_modified = MomentField(read_only=True)
