"""The curl lines of the customer's document of MapReduce, typed into a shell against a real server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contracts.harness import assert_like
from tests.deployment import Deployment, Factory

HERE: Final = "http://localhost:4750"
HEADER: Final = "--header 'Content-Type: application/json'"
ARTIFACT: Final = {"name": "name", "type": "type", "size": 0, "hash": "hash"}
INPUT: Final = {"id": "id", "path": "path", "type": "type", "splitStart": 0, "splitEnd": 12000}
JOB: Final = {
    "id": "UUID", "nReducers": 1, "outputLocation": {"location": "location", "useSSL": False}, "inputData": INPUT,
    "startTime": 1741436779000,
}  # fmt: skip
SCHEDULE: Final = """--data '{
"nReducers": 1,
"inputPath": "http://minio:9000/test/test.txt",
"inputType": "file/txt",
"outputPath": "http://minio:9000",
"useSSL": false,
"mapperName": "mapper",
"reducerName": "reducer",
"inputStorageCredentials": {
"username": "username",
"password": "password"
},
"outputStorageCredentials": {
"username": "username",
"password": "password"
}
}'"""


def typed(place: Deployment, line: str) -> str:
    """What a line of the document prints, at this server in place of its own. Its `jq .` shows the same."""
    asked = line.replace(HERE, place.base_url)
    done = subprocess.run(["bash", "-euc", f"{asked} -sS"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.runs_once("sqlite", "a surface's words do not depend on the database")
def test_they_work_as_they_are_written(deployment: Factory, tmp_path: Path) -> None:
    """But for the last: the document leaves the id out there."""
    place = deployment(STORAGE_ENDPOINTS="http://minio:9000", MAPREDUCE_ANONYMOUS_USER="apollo")
    place.bootstrap("apollo")
    place.start_web()
    for name in ("mapper", "reducer"):
        (tmp_path / name).write_bytes(b"#!/bin/sh\n")
        shown = typed(
            place, f"curl --request PUT --location '{HERE}/api/v1/artifacts' --form 'program=@\"{tmp_path / name}\"'"
        )
        assert_like(json.loads(shown), ARTIFACT)
    assert_like(json.loads(typed(place, f"curl --location '{HERE}/api/v1/artifacts' {HEADER}")), [ARTIFACT])
    assert_like(json.loads(typed(place, f"curl --location '{HERE}/api/v1/artifacts/mapper' {HEADER}")), ARTIFACT)
    job: dict[str, Any] = json.loads(typed(place, f"curl --location '{HERE}/api/v1/jobs' {HEADER} {SCHEDULE}"))
    assert_like(job, JOB)
    assert_like(json.loads(typed(place, f"curl --location '{HERE}/api/v1/jobs' {HEADER}")), [JOB])
    path = f"{HERE}/api/v1/jobs/{job['id']}"
    assert_like(json.loads(typed(place, f"curl --location '{path}' {HEADER}")), JOB)
    assert typed(place, f"curl --request DELETE --location '{HERE}/api/v1/artifacts/mapper' {HEADER}") == ""
    assert len(json.loads(typed(place, f"curl --location '{HERE}/api/v1/artifacts' {HEADER}"))) == 1
    assert json.loads(typed(place, f"curl --location '{path}/tasks' {HEADER}")) == []
    stopped = typed(place, f"curl --request DELETE --location '{path}' {HEADER}")
    assert stopped == f"Job {job['id']} was successfully stopped"
