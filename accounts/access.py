"""Who may do what: the one table, and the one function that reads it and can say why.

Staff roles see the whole deployment. Everybody else stands in a relation to a row: its owner, a
colleague (another user of the same customer) or a stranger, to whom the row does not exist. What is
personal (users themselves, their tokens) only admins see of others: the rest of the staff stand there
as everybody does, each the owner of their own. Others' webhooks and clusters they see, too, and leave alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from accounts.models import Role, TokenScope, User
from controlplane.core.errors import Forbidden, NotFound

READ, CHANGE = "read", "change"
OWNER, COLLEAGUE, STRANGER = "owner", "colleague", "stranger"

# area -> who -> what they may do. A stranger's empty set also hides the row.
TABLE: Final[dict[str, dict[str, frozenset[str]]]] = {
    "users": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset(),
        Role.MONITOR: frozenset(),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    "tokens": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset(),
        Role.MONITOR: frozenset(),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # A customer is nobody's own; its users are colleagues to it.
    "customers": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    "jobs": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    # Job types, recipe types and workspaces are nobody's own: everybody may read what is published.
    "job_types": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset({READ}),
    },
    "files": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    "artifacts": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    "operations": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    "holds": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # Wishes for higher limits: everybody has their own, staff decide.
    "limit_requests": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    "webhooks": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # Clusters, their containers and recordings: one user's alone. What there is to choose from is everybody's to read.
    "clusters": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # What was used and what it costs is the customer's: its users read it, whoever of them has used it.
    "bills": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    "budgets": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ, CHANGE}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
    "prices": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset(),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # Who pays, and how: one user's alone. Staff read it in the admin.
    "payments": {
        Role.ADMIN: frozenset({READ, CHANGE}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ, CHANGE}),
        COLLEAGUE: frozenset(),
        STRANGER: frozenset(),
    },
    # Nobody writes the log; a customer's users read what became of its jobs.
    "events": {
        Role.ADMIN: frozenset({READ}),
        Role.OPERATOR: frozenset({READ}),
        Role.MONITOR: frozenset({READ}),
        OWNER: frozenset({READ}),
        COLLEAGUE: frozenset({READ}),
        STRANGER: frozenset(),
    },
}
_REACH: Final = tuple(TokenScope.values)  # each as far as those before it
# Areas where staff below admin have no say over others' rows, and own theirs as everybody does.
PERSONAL: Final = frozenset({"users", "tokens", "webhooks", "clusters", "payments"})


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and its reason. `hidden`: to this user the row does not exist, so say 404, not 403."""

    allowed: bool
    why: str
    hidden: bool = False


_chain: ContextVar[list[Decision] | None] = ContextVar("chain", default=None)


@contextmanager
def traced() -> Iterator[list[Decision]]:
    """The decisions that are made inside, in their order: for who explains them."""
    chain: list[Decision] = []
    token = _chain.set(chain)
    try:
        yield chain
    finally:
        _chain.reset(token)


def relation(user: User, owner_id: int | None, customer_id: int | None) -> str:
    """What `user` is to a row: its staff role, else owner, colleague or stranger."""
    if user.role != Role.CUSTOMER:
        return user.role
    if owner_id == user.pk:
        return OWNER
    if customer_id is not None and customer_id == user.customer_id:
        return COLLEAGUE
    return STRANGER


def decide(
    user: User, area: str, action: str, *, owner_id: int | None = None, customer_id: int | None = None
) -> Decision:
    """May `user` do `action` (READ or CHANGE) to a row of `area` with this owner and customer?"""
    decision = _decided(user, area, action, owner_id, customer_id)
    if (chain := _chain.get()) is not None:
        chain.append(decision)
    return decision


def _decided(user: User, area: str, action: str, owner_id: int | None, customer_id: int | None) -> Decision:
    if not user.is_active:
        return Decision(False, f"{user.username} is disabled")
    who = relation(user, owner_id, customer_id)
    if area in PERSONAL and who != Role.ADMIN and owner_id == user.pk:
        who = OWNER
    may = TABLE[area][who]
    if action in may:
        return Decision(True, f"{who}: may {action} {area}")
    hidden = not may and (area in PERSONAL or who in (COLLEAGUE, STRANGER))
    return Decision(False, f"{who}: may not {action} {area}", hidden)


def reach(user: User, scope: str) -> Decision:
    """Does what `user` came with reach as far as `scope`?"""
    allowed = _REACH.index(user.scope) >= _REACH.index(scope)
    return Decision(allowed, f"the scope {user.scope} {'reaches' if allowed else 'does not reach'} to {scope}")


def enforce(decision: Decision, missing: type[NotFound] = NotFound) -> None:
    """Raise `missing` where the row does not exist to this user, Forbidden with the reason where it may not be done."""
    if decision.hidden:
        raise missing
    if not decision.allowed:
        raise Forbidden(decision.why)


def demand(user: User, area: str, action: str, *, owner_id: int | None = None) -> None:
    """Raise Forbidden, with the reason, unless `user` may do `action` to rows of `area` that are nobody's yet.

    `owner_id`: or that are this user's.
    """
    decision = decide(user, area, action, owner_id=owner_id)
    if not decision.allowed:
        raise Forbidden(decision.why)
