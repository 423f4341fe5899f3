"""What people tell the team: feedback, and that they need more instances."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.fishjam.base import DetailSerializer, Operation, declared, detail
from accounts.api.fishjam.serializers import FeedbackSerializer, LimitRequestSerializer
from accounts.api.v6.base import user_of


class SendFeedback(Operation):
    @declared(
        "fishjam_send_feedback",
        "Send feedback to the team's channel",
        200,
        DetailSerializer,
        *(401, 403, 422, 429),
        request=FeedbackSerializer,
    )
    def post(self, request: Request) -> Response:
        services.give_feedback(user=user_of(request), **self.taken(FeedbackSerializer))
        return detail("Thank you, the team will read it.")


class LimitRequests(Operation):
    @declared(
        "fishjam_create_instance_limit_change_request",
        "Ask for another instance limit",
        201,
        DetailSerializer,
        *(400, 401, 403, 409, 422),
        request=LimitRequestSerializer,
    )
    def post(self, request: Request) -> Response:
        services.request_limit(user=user_of(request), **self.taken(LimitRequestSerializer))
        return detail("The request waits for the team, which will mail its decision.", 201)
