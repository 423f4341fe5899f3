"""What people say of us, in the admin: to read."""

from __future__ import annotations

from django.contrib import admin

from accounts.models import Feedback, FeedbackType
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.keyset_admin import KeysetAdmin


class TypeFilter(ChoiceFilter):
    title = "type"
    parameters = ("feedback_type",)
    words = tuple(FeedbackType.choices)


@admin.register(Feedback)
class FeedbackAdmin(KeysetAdmin):
    list_display = ("id", "feedback_type", "user", "message", "created_at", "posted_at")
    list_filter = (TypeFilter,)
    list_select_related = ("user",)
    fields = ("feedback_type", "user", "customer", "message", "created_at", "posted_at")
