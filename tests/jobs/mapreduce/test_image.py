"""The image of the worker: it is made of what is here, and of the pinned SDK."""

from __future__ import annotations

import re

from tests.environment import CHECKOUT

DOCKERFILE = (CHECKOUT / "deploy/mapreduce/Dockerfile").read_text()


def test_it_has_the_worker_and_nothing_else_of_ours() -> None:
    [(source, target)] = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.M)
    assert (CHECKOUT / source / "__main__.py").is_file()
    assert f'"{target}"]' in DOCKERFILE


def test_its_sdk_is_the_locked_one() -> None:
    [pinned] = re.findall(r"boto3==(\S+)", DOCKERFILE)
    assert f"boto3=={pinned} " in (CHECKOUT / "requirements.lock").read_text()
