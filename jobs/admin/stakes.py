"""What the page before a verb says of money."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import QuerySet

from jobs import queries, states
from jobs.admin.verbs import Verb
from jobs.models import Job


def stakes_of(verb: Verb, jobs: QuerySet[Job]) -> list[tuple[str, str]]:
    """What the verb would lose or spend with these jobs, in words; nothing when it is about no money."""
    return [*(_lost(jobs) if verb.stops else ()), *(_likely(verb, jobs) if verb.runs_again else ())]


def _lost(jobs: QuerySet[Job]) -> list[tuple[str, str]]:
    lost = queries.lost_by_stopping(jobs)
    if not lost.running:
        return [("Runs now", "none of them")]
    more = "" if lost.is_all else ", and more that were not looked at"
    told = [("Runs now", f"{lost.running}{more}")]
    if lost.running > lost.unpriced:
        told.append(("Cost so far, lost", f"{_usd(lost.cost)} at present prices{_without(lost.unpriced)}"))
    return told


def _likely(verb: Verb, jobs: QuerySet[Job]) -> list[tuple[str, str]]:
    ended = jobs if verb.name == "retry" else jobs.filter(status__in=(states.FAILED, states.CANCELED))
    likely = queries.likely_cost(ended)
    if not likely.jobs:
        return [("Would run again", "none of them")]
    told = [("Would run again", str(likely.jobs) if likely.is_all else f"more than {likely.jobs - 1}")]
    if likely.jobs > likely.unknown:
        whom = "" if likely.is_all else f"for the first {likely.jobs}: "
        told.append(
            ("Likely cost", f"{whom}{_usd(likely.half)}, at most {_usd(likely.most)}{_without(likely.unknown)}")
        )
    else:
        told.append(("Likely cost", "not known: they have no price, or none of their kind has come to a good end"))
    return told


def _usd(amount: Decimal) -> str:
    return f"{amount:.2f} USD" if not 0 < amount < Decimal("0.01") else "less than 0.01 USD"


def _without(number: int) -> str:
    return f", without {number} of which it is not known" if number else ""
