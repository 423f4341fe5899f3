"""What people configure, and the kinds of events that tell how each of it was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Told:
    """The kinds of events of a thing that is configured: with which it comes to be, is changed, and is no more."""

    begins: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*self.begins, *self.changes, *self.ends)


CONFIGURED: Final[dict[str, Told]] = {
    "budget": Told(("budget.created",), ("budget.changed", "budget.lifted")),
    "cap": Told(("cap.set",), (), ("cap.lifted",)),
    "cluster": Told(
        ("cluster.created",),
        ("cluster.changed", "cluster.archived", "cluster.rollout-started", "cluster.rollout-rolled-back"),
    ),
    "container": Told(("container.created",), ("container.changed",)),
    "customer": Told(("customer.created",)),
    "error": Told(("error.created",), ("error.changed",)),
    "failure_cluster": Told((), ("failure_cluster.named", "failure_cluster.unnamed")),
    "hold": Told(("hold.placed",), (), ("hold.lifted",)),
    "image_version": Told(("image_version.added",), ("image_version.changed",)),
    "invitation": Told(("invitation.made",), ("invitation.revoked",)),
    "job_type": Told(("job_type.created",), ("job_type.edited", "job_type.policy-set", "job_type.policy-cleared")),
    "limit_request": Told(("limit_request.made",), ("limit_request.approved", "limit_request.rejected")),
    "location": Told((), ("location.changed",)),
    "offer": Told((), ("offer.changed",)),
    "price": Told(("price.set",), ("price.ended",)),
    "recipe_type": Told(("recipe_type.created",), ("recipe_type.changed", "recipe_type.deactivated")),
    "token": Told(("token.issued", "token.imported"), ("token.revoked",)),
    "user": Told(
        ("user.created", "user.signed-up"),
        (
            *("user.role-changed", "user.enabled", "user.disabled", "user.email-changed", "user.limit-changed"),
            *("user.features-changed", "user.closing"),
        ),
    ),
    "webhook": Told(("webhook.created",), ("webhook.changed", "webhook.disabled"), ("webhook.deleted",)),
    "workspace": Told(("workspace.created",), ("workspace.edited",)),
}
