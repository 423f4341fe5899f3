"""Every kind of event there is, and what it says: the JSON Schema of the log."""

from __future__ import annotations

from typing import Any, Final

NOTHING: Final = None
MAYBE: Final = "null?"
TEXT: Final[dict[str, Any]] = {"type": "string"}
WHOLE: Final[dict[str, Any]] = {"type": "integer"}
YES_OR_NO: Final[dict[str, Any]] = {"type": "boolean"}
# What a word means wherever an event says it; of others only that they are there.
_PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    **dict.fromkeys(
        ("status", "reason", "name", "hint", "sha256", "protocol", "code", "username", "role", "origin"), TEXT
    ),
    **dict.fromkeys(("month", "amount", "customer", "note"), TEXT),
    **dict.fromkeys(("prefix", "retry", "title", "scope", "why", "form", "image_version"), TEXT),
    **dict.fromkeys(("enabled", "is_active", "is_archived", "is_enabled", "is_revoked"), YES_OR_NO),
    **dict.fromkeys(("priority", "version", "revision_num", "done", "tokens", "first", "last", "count"), WHOLE),
    **dict.fromkeys(("job", "number", "exit_code"), WHOLE),
    **dict.fromkeys(("request", "share", "instance_limit", "desired_limit", "invitation", "uses_allowed"), WHOLE),
    "allowed_features": {"type": "array", "items": TEXT},
    "email": {"type": ["string", "null"]},
    "fields": {"type": "array", "items": TEXT},
}
# kind -> (kind of its subject, what `before` says, what `after` says): the words that are always there, those that
# may be with a question mark, "..." for any others; NOTHING is null, and MAYBE the first word of what may be null.
KINDS: Final[dict[str, tuple[str, str | None, str | None]]] = {
    "artifact.deleted": ("artifact", NOTHING, "name"),
    "artifact.edited": ("artifact", NOTHING, "protocol"),
    "artifact.uploaded": ("artifact", NOTHING, "name version sha256"),
    "bill.moved": ("bill", "status", "status month amount"),
    "budget.changed": ("budget", "...", "..."),
    "budget.created": ("budget", NOTHING, "..."),
    "budget.lifted": ("budget", "...", "..."),
    "budget.reached": ("budget", NOTHING, "..."),
    "cap.lifted": ("cap", "scope id ...", "scope id"),
    "cap.set": ("cap", f"{MAYBE} ...", "..."),
    "cluster.archived": ("cluster", "is_archived", "name is_archived"),
    "cluster.changed": ("cluster", "...", "name fields ..."),
    "cluster.created": ("cluster", NOTHING, "name image_version"),
    "cluster.rollout-ended": ("cluster", NOTHING, "status"),
    "cluster.rollout-paused": ("cluster", NOTHING, "reason?"),
    "cluster.rollout-resumed": ("cluster", NOTHING, ""),
    "cluster.rollout-rolled-back": ("cluster", "image_version", "image_version"),
    "cluster.rollout-started": ("cluster", "image_version", "image_version"),
    "container.changed": ("container", "...", "name fields ..."),
    "container.created": ("container", NOTHING, "name status location machine_type"),
    "container.moved": ("container", "status", "status reason?"),
    "customer.created": ("customer", NOTHING, "name"),
    "difference.resolved": ("difference", NOTHING, "kind month note"),
    "error.changed": ("error", "...", "..."),
    "error.created": ("error", NOTHING, "name ..."),
    "execution.ended": ("execution", NOTHING, "status job number exit_code?"),
    "failure_cluster.named": ("failure_cluster", "error", "error name category should_be_retried"),
    "failure_cluster.unnamed": ("failure_cluster", "error", "error name"),
    "file.created": ("file", NOTHING, "name"),
    "file.deleted": ("file", NOTHING, "..."),
    "file.edited": ("file", NOTHING, "..."),
    "file.registered": ("file", NOTHING, "..."),
    "file.uploaded": ("file", NOTHING, "..."),
    "hold.lifted": ("hold", "scope id code hint", "scope code"),
    "hold.placed": ("hold", NOTHING, "scope id code hint"),
    "image_version.added": ("image_version", NOTHING, "name ..."),
    "image_version.changed": ("image_version", "...", "name fields ..."),
    "invitation.made": ("invitation", NOTHING, "name prefix uses_allowed ..."),
    "invitation.revoked": ("invitation", "is_revoked", "name prefix is_revoked"),
    "job.error-changed": ("job", "error", "error"),
    "job.held": ("job", NOTHING, "hint"),
    "job.imported": ("job", NOTHING, "status reason"),
    "job.moved": ("job", "status", "status reason?"),
    "job.placed": ("job", "place", "place reason"),
    "job.priority-changed": ("job", "priority", "priority"),
    "job.released": ("job", NOTHING, NOTHING),
    "job.retried": ("job", NOTHING, "retry"),
    "job.submitted": ("job", NOTHING, "status"),
    "job_type.created": ("job_type", NOTHING, "..."),
    "job_type.edited": ("job_type", "...", "..."),
    "job_type.policy-cleared": ("job_type", "policy", "policy"),
    "job_type.policy-set": ("job_type", "policy", "policy"),
    "limit_request.approved": ("user", "status note", "request desired_limit status note"),
    "limit_request.made": ("user", NOTHING, "request desired_limit"),
    "limit_request.rejected": ("user", "status note", "request desired_limit status note"),
    "location.changed": ("location", "...", "name fields ..."),
    "parked_event.dismissed": ("parked_event", NOTHING, "follower position kind"),
    "month.closed": ("month", NOTHING, "month"),
    "offer.changed": ("offer", "...", "..."),
    "operation.ended": ("operation", NOTHING, "status why?"),
    "operation.started": ("operation", NOTHING, "kind selection parameters"),
    "operation.stopped": ("operation", NOTHING, "done"),
    "parked_event.tried-again": ("parked_event", NOTHING, "follower position"),
    "payment_details.changed": ("customer", NOTHING, "fields"),
    "payment_details.created": ("customer", NOTHING, ""),
    "payment_details.removed": ("customer", NOTHING, ""),
    "price.ended": ("price", "valid_to", "valid_to"),
    "price.set": ("price", f"{MAYBE} ...", "offer amount valid_from ..."),
    "recipe.canceled": ("recipe", NOTHING, ""),
    "recipe.completed": ("recipe", NOTHING, ""),
    "recipe.created": ("recipe", NOTHING, "..."),
    "recipe.superseded": ("recipe", NOTHING, ""),
    "recipe_type.changed": ("recipe_type", "...", "name revision_num ..."),
    "recipe_type.created": ("recipe_type", NOTHING, "name title ..."),
    "recipe_type.deactivated": ("recipe_type", "is_active", "name is_active"),
    "saved_view.shared": ("saved_view", f"{MAYBE} ...", "name list_name query"),
    "saved_view.withdrawn": ("saved_view", "name list_name query", "name"),
    "token.imported": ("user", NOTHING, "prefix name scope ..."),
    "token.issued": ("user", NOTHING, "prefix name scope ..."),
    "token.revoked": ("user", "is_archived", "is_archived prefix? name? tokens? prefixes?"),
    "usage.corrected": ("usage", NOTHING, "customer amount note"),
    "user.closing": ("user", "enabled", "enabled fields"),
    "user.created": ("user", NOTHING, "username role"),
    "user.disabled": ("user", "enabled", "enabled"),
    "user.email-changed": ("user", "email", "email"),
    "user.enabled": ("user", "enabled", "enabled"),
    "user.features-changed": ("user", "allowed_features", "allowed_features"),
    "user.google-linked": ("user", NOTHING, NOTHING),
    "user.limit-changed": ("user", "instance_limit", "instance_limit"),
    "user.password-changed": ("user", NOTHING, NOTHING),
    "user.role-changed": ("user", "role", "role"),
    "user.signed-up": ("user", NOTHING, "role origin invitation?"),
    "user.totp-enrolled": ("user", NOTHING, NOTHING),
    "user.totp-reset": ("user", NOTHING, NOTHING),
    "user.verified": ("user", NOTHING, NOTHING),
    "user.viewed-as": ("user", NOTHING, NOTHING),
    "user.viewed-no-more": ("user", NOTHING, NOTHING),
    "webhook.changed": ("webhook", "...", "fields is_enabled? ..."),
    "webhook.created": ("webhook", NOTHING, "name form ..."),
    "webhook.deleted": ("webhook", "name form ...", "name"),
    "webhook.disabled": ("webhook", "is_enabled", "why is_enabled"),
    "webhook.redelivered": ("webhook", NOTHING, "first last count"),
    "workspace.created": ("workspace", NOTHING, "..."),
    "workspace.edited": ("workspace", "...", "..."),
}
SUBJECTS: Final = tuple(sorted({subject for subject, _, _ in KINDS.values()}))
KIND_CHOICES: Final = [(kind, kind) for kind in KINDS]
SUBJECT_CHOICES: Final = [(subject, subject) for subject in SUBJECTS]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of an event as `/v6/events/` tells it: one of the kinds in `$defs`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS],
        "$defs": {kind: _of(kind, *said) for kind, said in KINDS.items()},
    }


def _of(kind: str, subject: str, before: str | None, after: str | None) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "position": {"type": "integer", "minimum": 1},
        "at": {"type": "string", "format": "date-time"},
        "kind": {"const": kind},
        "subject": {
            "type": "object",
            "required": ["kind", "id"],
            "properties": {"kind": {"const": subject}, "id": {"type": "integer"}},
        },
        "actor": {"type": ["string", "null"]},
        "customer": {"type": ["string", "null"]},
        "before": _words(before),
        "after": _words(after),
    }
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}


def _words(said: str | None) -> dict[str, Any]:
    if said is None:
        return {"type": "null"}
    words = said.split()
    named = [word for word in words if word not in ("...", MAYBE)]
    return {
        "type": ["object", "null"] if MAYBE in words else "object",
        "required": [word for word in named if not word.endswith("?")],
        "properties": {name: _PROPERTIES.get(name, {}) for name in (word.rstrip("?") for word in named)},
        "additionalProperties": "..." in words,
    }
