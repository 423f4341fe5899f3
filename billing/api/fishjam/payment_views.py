"""Who pays: the caller's own customer at Stripe. Nothing about cards passes here."""

from __future__ import annotations

from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import DetailSerializer, Operation, declared, detail
from accounts.api.v6.base import user_of
from billing import services
from billing.api.fishjam.serializers import PayerSerializer, PaymentDetailsSerializer, payer_of, payer_row
from billing.stripe.payer import ADDRESS
from controlplane.core.errors import InvalidRequest


class Details(Operation):
    noun = "own payments"

    @declared(
        "fishjam_get_payment_details",
        "Address and name of who pays, as Stripe has them; null before they are said",
        200,
        PayerSerializer,
        *(401, 404, 500, 503),
    )
    def get(self, request: Request) -> Response:
        return Response(payer_row(services.payment_details_of(user=user_of(request))))

    @declared(
        "fishjam_create_payment_details",
        "Make the customer at Stripe who pays for the caller's",
        201,
        DetailSerializer,
        *(401, 403, 409, 500, 503),
        request=None,
    )
    def post(self, request: Request) -> Response:
        services.make_payment_details(user=user_of(request))
        return detail("The payment details are there to be filled in.", 201)

    @declared(
        "fishjam_update_payment_details",
        "Replace address and name of who pays",
        200,
        PayerSerializer,
        *(401, 403, 404, 422, 500, 503),
        request=PaymentDetailsSerializer,
    )
    def put(self, request: Request) -> Response:
        given = self.taken(PaymentDetailsSerializer)
        try:
            payer = services.set_payment_details(user=user_of(request), payer=payer_of(given))
        except InvalidRequest as error:
            part = "address" if error.field in ADDRESS else "customer"
            raise exceptions.ValidationError({part: {str(error.field): [error.message]}}) from error
        return Response(payer_row(payer))
