"""No made-up request, whoever sends it, is answered otherwise than the schema says.

`python -m tests.soak` runs this with a seed and a number of calls of its own, all bounds and many random requests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from tests.deployment import present_database
from tests.schema.scenery import make_scenery
from tests.schema.trial import Trial

SEED: Final = int(os.environ.get("SCHEMA_SEED", "20260301"))
MOST_CALLS: Final = int(os.environ.get("SCHEMA_MOST_CALLS", "0"))
# Who -> (random requests to each operation, one in how many of those at the bounds of fields, 0 for none).
# Few on SQLite, which takes what PostgreSQL refuses: NULs, numbers beyond a column's, halves of pairs in jsonb.
SHORT: Final = (
    {"admin": (3, 24), "customer": (2, 32), "anonymous": (1, 0)}
    if present_database() == "postgresql"
    else {"admin": (2, 0), "customer": (1, 0), "anonymous": (1, 0)}
)
LONG: Final = {"admin": (60, 1), "customer": (40, 1), "anonymous": (5, 8)}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("who", SHORT)
def test_every_answer_is_as_the_schema_says(who: str) -> None:
    random_requests, one_bound_in = (LONG if MOST_CALLS else SHORT)[who]
    trial = Trial(make_scenery(), who, SEED, random_requests, one_bound_in, most_calls=MOST_CALLS // len(SHORT) or None)
    outcome = trial.run()
    print(outcome)
    if "SCHEMA_CALLS_FILE" in os.environ:
        with Path(os.environ["SCHEMA_CALLS_FILE"]).open("a") as told:
            told.write(f"{outcome.calls}\n")
    assert not outcome.faults, str(outcome)
