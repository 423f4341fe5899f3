"""Where Stripe's webhooks come in: no session, no token, the signature of the raw body says who it is."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import services
from billing.errors import EventRefused

MOST_BYTES: Final = 2**20  # Stripe's own are below 300 KiB


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """200 once the event is kept; it is handled afterwards. Anything else has Stripe send it again."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return _said("STRIPE_WEBHOOK_SECRET is not set.", 503)
    body = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        return _said("The body is too large.", 413)
    try:
        services.take_event(body=body, signature=request.headers.get("Stripe-Signature", ""))
    except EventRefused as error:
        return _said(error.message, 400)
    return _said("Taken.", 200)


def _said(words: str, status: int) -> HttpResponse:
    return HttpResponse(f"{words}\n", status=status, content_type="text/plain", headers={"Cache-Control": "no-store"})
