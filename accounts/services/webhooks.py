"""Webhooks: made, changed, removed by who owns them or by staff who may; what they hold in secret."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

from django.conf import settings
from django.db import transaction

from accounts import event_kinds, events
from accounts.errors import TooManyWebhooks, UserState, WebhookChanged, WebhookNotFound
from accounts.models import Form, User, Webhook
from controlplane.core.encryption import decrypt, encrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from controlplane.core.outside import AddressRefused, check_address
from controlplane.core.unstorable import UNSTORABLE

MAX_NAME: Final = 255
MAX_HEADER: Final = 4096
SIGNING_BYTES: Final = 32
LARGEST_ID: Final = 2**63 - 1
# What a header of HTTP carries: no line's end, no control characters, letters of Latin-1.
_HEADER: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# What is as it was with an address that has never failed.
_FRESH: Final[dict[str, Any]] = {"failures": 0, "failing_since": None, "next_call_at": None, "disabled_because": ""}


@dataclass(frozen=True, slots=True)
class Sealed:
    """The secrets of a webhook: what it signs with, for its owner to see once, and all of them encrypted."""

    signing: str
    stored: str


class WebhookChanges(TypedDict, total=False):
    """What may be changed of a webhook. `authorization`: None takes the header away."""

    name: str
    url: str
    kinds: Sequence[str]
    subject_kind: str
    subject_id: int | None
    is_enabled: bool
    authorization: str | None


def seal(authorization: str | None = None) -> Sealed:
    """A new signing secret, with the Authorization header. Call it outside transactions. Raises InvalidRequest."""
    signing = "whsec_" + base64.b64encode(secrets.token_bytes(SIGNING_BYTES)).decode()
    return Sealed(signing, encrypt(_with_header({"signing": signing}, authorization)))


def authorization_of(webhook: Webhook) -> str | None:
    """The Authorization header that the webhook sends. For its owner only."""
    return decrypt(webhook.secrets).get("authorization")


def check_header(text: str) -> None:
    """Raise InvalidRequest for what cannot be the value of a header."""
    if len(text) > MAX_HEADER:
        raise InvalidRequest(f"A header has {MAX_HEADER} characters at most.", field="authorization")
    if not _HEADER.fullmatch(text):
        words = "A header has no line breaks, no control characters and no letters beyond Latin-1."
        raise InvalidRequest(words, field="authorization")


def make_webhook(
    *,
    owner: User,
    actor: User | None,
    sealed: Sealed,
    name: str,
    url: str,
    form: str = Form.STANDARD,
    kinds: Sequence[str] = (),
    subject_kind: str = "",
    subject_id: int | None = None,
) -> Webhook:
    """A webhook that is told of what happens from now on. Raises InvalidRequest, TooManyWebhooks, UserState."""
    values = {"name": name, "url": url, "kinds": kinds, "subject_kind": subject_kind, "subject_id": subject_id}
    values = _checked(values)
    if form not in Form.values:
        raise InvalidRequest(f"This is one of {', '.join(Form.values)}.", field="form")
    with transaction.atomic():
        # Whoever makes one holds the owner, so that two at once are counted.
        if not User.objects.select_for_update().filter(pk=owner.pk, is_active=True).exists():
            raise UserState(f"{owner.username} is disabled.")
        if Webhook.objects.filter(owner=owner).count() >= settings.MAX_WEBHOOKS:
            raise TooManyWebhooks(f"You have {settings.MAX_WEBHOOKS} webhooks already, which is the most.")
        made = Webhook.objects.create(owner=owner, form=form, secrets=sealed.stored, **values)
        tell("webhook.created", made, actor, facts_of_webhook(made))
    return made


def change_webhook(*, webhook: Webhook, actor: User | None, **changes: Unpack[WebhookChanges]) -> Webhook:
    """Set what `changes` has. Another address, and being enabled anew, begin without the failures of before.

    Raises InvalidRequest, WebhookNotFound, and WebhookChanged when somebody else set the header meanwhile.
    """
    values: dict[str, Any] = {key: value for key, value in changes.items() if key != "authorization"}
    if "subject_kind" in values:
        # An id is one of its kind: it goes with it.
        same = values["subject_kind"] == webhook.subject_kind
        values.setdefault("subject_id", webhook.subject_id if same else None)
    elif "subject_id" in values:
        values["subject_kind"] = webhook.subject_kind
    values = _checked(values)
    stored = None
    if "authorization" in changes:
        kept = decrypt(webhook.secrets)
        if kept.get("authorization") != changes["authorization"]:
            kept.pop("authorization", None)
            stored = encrypt(_with_header(kept, changes["authorization"]))
    return _write(webhook, actor, values, stored, "authorization")


def rotate_secret(*, webhook: Webhook, actor: User | None) -> str:
    """Sign with a new secret from now on, and return it, this once. Raises WebhookNotFound, WebhookChanged."""
    sealed = seal(authorization_of(webhook))
    _write(webhook, actor, {}, sealed.stored, "secret")
    return sealed.signing


def delete_webhook(*, webhook: Webhook, actor: User | None) -> None:
    """Remove it, with what was on its way to it. Nothing happens when it is gone already."""
    with transaction.atomic():
        row = Webhook.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=webhook.pk).first()
        if row is not None:
            tell("webhook.deleted", row, actor, {"name": row.name}, before=facts_of_webhook(row))
            row.delete()


def facts_of_webhook(webhook: Webhook) -> dict[str, Any]:
    """What may be said of a webhook, as the event log has it: an address may have a key in it, and is not told."""
    names = ("name", "form", "kinds", "subject_kind", "subject_id", "is_enabled")
    return {name: getattr(webhook, name) for name in names}


def tell(kind: str, webhook: Webhook, actor: User | None, after: object, *, before: object = None) -> None:
    """Put an event of a webhook into the log. Caller holds the transaction."""
    customer_id = webhook.owner.customer_id
    events.record([(kind, "webhook", webhook.pk, actor.pk if actor else None, customer_id, before, after)])


def _write(webhook: Webhook, actor: User | None, values: Mapping[str, Any], stored: str | None, secret: str) -> Webhook:
    """Set `values`, and the secrets if `stored` has them: they were made from those that `webhook` has."""
    with transaction.atomic():
        row = Webhook.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=webhook.pk).first()
        if row is None:
            raise WebhookNotFound
        if stored is not None and row.secrets != webhook.secrets:
            raise WebhookChanged
        new = {name: value for name, value in values.items() if getattr(row, name) != value}
        fields = sorted([*new, *([secret] if stored is not None else [])])
        if not fields:
            return row
        if new.get("is_enabled") or "url" in new:
            new |= _FRESH
        if stored is not None:
            new["secrets"] = stored
        facts = facts_of_webhook(row)
        for name, value in new.items():
            setattr(row, name, value)
        row.save(update_fields=list(new))
        before, after = differing(facts, facts_of_webhook(row))
        tell("webhook.changed", row, actor, {"fields": fields, **after}, before=before)
    return row


# --- What is refused -----------------------------------------------------------------------------


def _with_header(kept: Mapping[str, str], authorization: str | None) -> dict[str, str]:
    if authorization is None:
        return dict(kept)
    check_header(authorization)
    return {**kept, "authorization": authorization}


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """`values` as they are kept. Raises InvalidRequest with the field that is at fault."""
    if "name" in values:
        _check_name(values["name"])
    if "url" in values:
        try:
            check_address(values["url"])
        except AddressRefused as error:
            error.field = "url"
            raise
    if "kinds" in values:
        unknown = [kind for kind in values["kinds"] if kind not in event_kinds.KINDS]
        if unknown:
            raise InvalidRequest("There is no such kind of event: see /v6/events/schema/.", field="kinds")
        values["kinds"] = sorted(set(values["kinds"]))
    if values.get("subject_kind") and values["subject_kind"] not in event_kinds.SUBJECTS:
        raise InvalidRequest(f"This is one of {', '.join(event_kinds.SUBJECTS)}.", field="subject_kind")
    subject_id = values.get("subject_id")
    if subject_id is not None:
        if not values.get("subject_kind"):
            raise InvalidRequest("An id of a subject needs its kind.", field="subject_kind")
        if not 0 <= subject_id <= LARGEST_ID:
            raise InvalidRequest(f"This is a whole number from 0 to {LARGEST_ID}.", field="subject_id")
    return values


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME or UNSTORABLE.search(name):
        raise InvalidRequest(f"A name is text of 1 to {MAX_NAME} characters without NUL.", field="name")
