"""How a job goes on: at which places, how often, how soon after a failure, and for how much money.

A ladder of places is walked from the first on. A job leaves a place for the next when an execution there ends with an
error of category SYSTEM, when there is no room for it, or when it has waited longer than it should. Never because of
its data or its program: those fail everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from controlplane.core.errors import InvalidRequest
from controlplane.core.unstorable import UNSTORABLE
from jobtypes.models import Category

SPOT: Final = "spot"
ON_DEMAND: Final = "on-demand"
CAPACITIES: Final = (SPOT, ON_DEMAND)
MOST_PLACES: Final = 20
MOST_TRIES: Final = 1000
MOST_SECONDS: Final = 7 * 24 * 3600
MOST_MONEY: Final = Decimal(10**9)
_DIGITS: Final = 10  # after the point, as rates have them
_FIELDS: Final = ("places", "tries", "backoff_seconds", "max_backoff_seconds", "max_cost")
OF_PLACES: Final = ("cloud", "region", "capacity", "wait_seconds")


@dataclass(frozen=True, slots=True)
class Rung:
    """A place of a ladder. `capacity`: of which kind its machines are, "" as the place has it.

    After `wait_seconds` in line there the job goes on to the next; None: it waits as long as it takes. `chosen` is why
    the control plane chose it, None for one that was asked for.
    """

    cloud: str
    region: str
    capacity: str = ""
    wait_seconds: int | None = None
    chosen: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.cloud}/{self.region}" + (f" ({self.capacity})" if self.capacity else "")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a job does after an execution that came to no good end. What is left out is as without a policy.

    `tries`: how many executions may end with an error of each category before the job has failed. The pause before
    the next is `backoff_seconds`, twice as long each time, `max_backoff_seconds` at most. `max_cost` in USD bounds
    what all executions together may cost.
    """

    places: tuple[Rung, ...] = ()
    tries: Mapping[str, int] = field(default_factory=dict)
    backoff_seconds: int | None = None
    max_backoff_seconds: int | None = None
    max_cost: Decimal | None = None

    def document(self) -> dict[str, Any]:
        """As it is stored; `read_policy` takes it back, `stored_policy` with what was chosen."""
        said: dict[str, Any] = {
            "places": [_place_document(rung) for rung in self.places],
            "tries": dict(self.tries),
            "backoff_seconds": self.backoff_seconds,
            "max_backoff_seconds": self.max_backoff_seconds,
            "max_cost": None if self.max_cost is None else f"{self.max_cost:f}",
        }
        return {name: value for name, value in said.items() if value not in (None, [], {})}

    @property
    def most_tries(self) -> int | None:
        """How many executions a job may have by `tries`; None when it says nothing of that."""
        return 1 + sum(number - 1 for number in self.tries.values()) if self.tries else None

    @property
    def is_chosen(self) -> bool:
        """Has the control plane chosen its places?"""
        return any(rung.chosen is not None for rung in self.places)

    def has_next(self, rung: int) -> bool:
        return rung + 1 < len(self.places)

    def wait_seconds(self, number: int) -> int | None:
        """How long a job waits at that one of its places before it goes on; None: as long as it takes."""
        return self.places[number].wait_seconds if self.has_next(number) else None

    def rung(self, number: int) -> Rung | None:
        """The place of that number, from 0; the last one when there are fewer."""
        return self.places[min(number, len(self.places) - 1)] if self.places else None

    def pause(self, tries: int, first: int, most: int) -> int:
        """How many seconds pass before the next execution after `tries`; `first` and `most` where it says nothing."""
        longest = most if self.max_backoff_seconds is None else self.max_backoff_seconds
        shortest = first if self.backoff_seconds is None else self.backoff_seconds
        return min(shortest << min(tries - 1, 30), longest)


def _place_document(rung: Rung) -> dict[str, Any]:
    said = {name: getattr(rung, name) for name in (*OF_PLACES, "chosen")}
    return {name: value for name, value in said.items() if value not in (None, "")}


def limit_seconds(timeout: int | None, affordable: int | None) -> int | None:
    """How long an execution may run: until its timeout, or its job's money is spent. None: as long as it takes."""
    return min((each for each in (timeout, affordable) if each is not None), default=None)


def stored_policy(document: Mapping[str, Any]) -> Policy:
    """What `Policy.document` wrote."""
    cost = document.get("max_cost")
    given = {name: document[name] for name in ("tries", "backoff_seconds", "max_backoff_seconds") if name in document}
    places = tuple(Rung(**place) for place in document.get("places", ()))
    return Policy(places=places, max_cost=None if cost is None else Decimal(cost), **given)


def read_policy(given: Any, *, name: str = "policy", region: str = "") -> Policy:
    """The policy that somebody has written as `name`. `region`: where cloud local is if a place does not say.

    Raises InvalidRequest naming the field, as "policy.places[1].capacity". Whether the places exist is not looked at.
    """
    said = _object(given, name, _FIELDS)
    places = _list(said.get("places", []), _at(name, "places"))
    tries = _object(said.get("tries", {}), _at(name, "tries"), Category.values)
    policy = Policy(
        places=tuple(_rung(place, _at(name, f"places[{n}]"), region) for n, place in enumerate(places)),
        tries={each: _whole(number, _at(name, f"tries.{each}"), 1, MOST_TRIES) for each, number in tries.items()},
        backoff_seconds=_optional(said, "backoff_seconds", name, 0),
        max_backoff_seconds=_optional(said, "max_backoff_seconds", name, 0),
        max_cost=_money(said["max_cost"], _at(name, "max_cost")) if "max_cost" in said else None,
    )
    if policy == Policy():
        raise InvalidRequest(f"This says nothing; it may say {', '.join(_FIELDS)}.", field=name)
    return policy


def _at(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _rung(given: Any, name: str, region: str) -> Rung:
    said = _object(given, name, OF_PLACES)
    for needed in ("cloud", *(() if said.get("cloud") == "local" else ("region",))):
        if needed not in said:
            raise InvalidRequest("This field is required.", field=_at(name, needed))
    capacity = said.get("capacity", "")
    if capacity and capacity not in CAPACITIES:
        raise InvalidRequest(f"This is one of {', '.join(CAPACITIES)}.", field=_at(name, "capacity"))
    return Rung(
        cloud=_text(said["cloud"], _at(name, "cloud")),
        region=_text(said.get("region", region), _at(name, "region")),
        capacity=capacity,
        wait_seconds=_optional(said, "wait_seconds", name, 1),
    )


def _object(given: Any, name: str, fields: Sequence[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidRequest(f"This is an object of {', '.join(fields)}.", field=name)
    unknown = next((key for key in given if key not in fields), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no such field; there is {', '.join(fields)}.", field=_at(name, unknown[:64]))
    return {key: value for key, value in given.items() if value is not None}


def _list(given: Any, name: str) -> list[Any]:
    if not isinstance(given, list) or len(given) > MOST_PLACES:
        raise InvalidRequest(f"This is a list of up to {MOST_PLACES} places.", field=name)
    return given


def _text(given: Any, name: str) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= 64 or UNSTORABLE.search(given):
        raise InvalidRequest("This is text of 1 to 64 characters.", field=name)
    return given


def _whole(given: Any, name: str, least: int, most: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise InvalidRequest(f"This is a whole number from {least} to {most}.", field=name)
    return given


def _optional(said: Mapping[str, Any], key: str, name: str, least: int) -> int | None:
    return _whole(said[key], _at(name, key), least, MOST_SECONDS) if key in said else None


def _money(given: Any, name: str) -> Decimal:
    """USD, as text or as a number."""
    wrong = InvalidRequest(f'This is an amount in USD above 0, as "2.50", with {_DIGITS} decimals at most.', field=name)
    if not isinstance(given, str | int | float) or isinstance(given, bool):
        raise wrong
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        raise wrong from None
    if not amount.is_finite() or not 0 < amount <= MOST_MONEY or amount != round(amount, _DIGITS):
        raise wrong
    return amount.normalize()
