from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.controlplane.cli.fake_server import FakeServer, serve
from tests.controlplane.cli.program import Program

TOKEN = "fake-token-of-the-tests-0123456789"


@pytest.fixture
def fake() -> Iterable[FakeServer]:
    yield from serve()


@pytest.fixture
def cpctl(tmp_path: Path) -> Program:
    """cpctl, not logged in."""
    return Program(tmp_path)


@pytest.fixture
def at_fake(cpctl: Program, fake: FakeServer) -> Program:
    """cpctl with a token for the fake server."""
    cpctl.env = {"CPCTL_SERVER": fake.base_url, "CPCTL_TOKEN": TOKEN}
    return cpctl
