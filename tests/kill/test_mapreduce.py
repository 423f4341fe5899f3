"""A MapReduce job under SIGKILL: its output is that of an undisturbed one, and no half of it is ever seen."""

from __future__ import annotations

import random
from typing import Final

import pytest

from tests.deployment import Factory
from tests.kill.chaos import SETTINGS
from tests.kill.mapreduce import Ordeal

SPLITS: Final = 40  # `make soak` takes more


@pytest.mark.runs_once("postgresql", "what is killed here are tasks and the runner; the ordeal runs on both")
def test_its_output_is_that_of_an_undisturbed_one(deployment: Factory) -> None:
    place = deployment(**SETTINGS)
    report = Ordeal(place, splits=SPLITS, seed=random.SystemRandom().randrange(10**6)).run()
    print(report)
    assert not report.faults, f"{report}\n{place.logs()}"
