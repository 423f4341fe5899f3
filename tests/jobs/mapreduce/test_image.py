"""The image of the worker: it is made of what is here, and of nothing else."""

from __future__ import annotations

import re

from tests.environment import CHECKOUT

DOCKERFILE = (CHECKOUT / "deploy/mapreduce/Dockerfile").read_text()


def test_it_has_the_worker_and_nothing_else_of_ours() -> None:
    [(source, target)] = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.M)
    assert (CHECKOUT / source / "__main__.py").is_file()
    assert f'"{target}"]' in DOCKERFILE


def test_it_needs_nothing_besides_the_standard_library() -> None:
    assert "pip install" not in DOCKERFILE
    assert '"-I", "-S"' in DOCKERFILE
