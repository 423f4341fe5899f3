"""A scheduler killed at any line of claim, call and apply: its successor goes on, and nothing runs twice.

Each database has every other line: none of them is about the database, and its transactions end where they end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.deployment import Factory
from tests.environment import CHECKOUT

# What the pass must have gone through, or the test looks at the wrong lines.
PASSED_THROUGH = {
    "jobs/scheduling/claiming.py",
    "jobs/scheduling/calling.py",
    "jobs/scheduling/applying.py",
    "jobs/services/move.py",
    "controlplane/core/sets.py",
    "controlplane/core/transitions.py",
    "clusters/providers/local/provider.py",
    "clusters/providers/local/client.py",
}


@pytest.mark.group("kill")
def test_a_scheduler_may_die_at_any_line(deployment: Factory) -> None:
    place = deployment(LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    lines = place.folder / "lines"
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.crashing", str(lines), "even" if place.database == "sqlite" else "odd"],
        cwd=CHECKOUT, env=place.env, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{len(found)} lines")
    assert {each["point"].partition(":")[0] for each in found} >= PASSED_THROUGH
    assert all(each["died"] for each in found), [each["point"] for each in found if not each["died"]]
    started = Counter(Path(text).parent.name for text in lines.read_text().splitlines())
    for each in found:
        [(execution, status)] = each["executions"]
        assert (each["status"], each["tries"], status) == ("COMPLETED", 1, "COMPLETED"), each
        assert each["moves"] == ["STARTING", *each["moves"][1:-1], "COMPLETED"], each
        assert each["moves"][1:-1] in ([], ["RUNNING"]), each
        assert started.pop(execution) == 1, each
    # The passes that found the lines had a job each, too.
    assert list(started.values()) == [1, 1]
