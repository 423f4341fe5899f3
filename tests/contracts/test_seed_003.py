"""The samples of the customer's document of Scale v6: what it sends works, what it shows comes."""

from __future__ import annotations

import json
from typing import Final

import pytest

from jobtypes.seed.configuration import read_configuration
from tests.contracts.harness import assert_like
from tests.contracts.scale_v6 import SAMPLES, Scene
from tests.jobs.api.v6.answers import good

pytestmark = pytest.mark.django_db
REQUESTS: Final = SAMPLES["requests"]
ANSWERS: Final = SAMPLES["answers"]
PAGED: Final = {
    "GET /v6/job-type-names/": "/v6/job-type-names/",
    "GET /v6/job-types/": "/v6/job-types/",
    "GET /v6/job-types/{name}/": "/v6/job-types/test/",
    "GET /v6/job-types/{name}/{version}/revisions/": "/v6/job-types/test/1.0.0/revisions/",
}
SINGLE: Final = {
    "GET /v6/job-types/{name}/{version}/": "/v6/job-types/test/1.0.0/",
    "GET /v6/job-types/{name}/{version}/revisions/{revision_num}/": "/v6/job-types/test/1.0.0/revisions/1/",
}


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("question", PAGED)
def test_its_lists_look_so(scene: Scene, question: str) -> None:
    page = good(scene.registered().customer.get(PAGED[question]))
    assert page["results"]
    assert_like(page, ANSWERS[question])


@pytest.mark.parametrize("question", SINGLE)
def test_its_details_look_so(scene: Scene, question: str) -> None:
    assert_like(good(scene.registered().customer.get(SINGLE[question])), ANSWERS[question])


def test_its_image_is_registered(scene: Scene) -> None:
    """Its errors have no names, and a workspace is given to an output that there is not; both are as they are."""
    body, sample = REQUESTS["POST /v6/job-types/"], ANSWERS["POST /v6/job-types/"]
    response = scene.operator.post("/v6/job-types/", body)
    made = good(response, 201)
    assert response.headers["Location"] == "http://testserver/v6/job-types/test/1.0.0/"
    assert_like(made, sample)
    same = ("name", "version", "title", "description", "icon_code", "max_scheduled", "max_tries", "revision_num")
    for name in (*same, "docker_image", "is_active", "is_paused", "is_system", "deprecated", "paused"):
        assert made[name] == sample[name], name
    assert made["manifest"] == body["manifest"]
    given = body["configuration"]
    assert made["configuration"] == {**given, "priority": 100, "settings": {"DB_HOST": given["settings"]["DB_HOST"]}}
    assert given["settings"]["DB_PASS"] not in json.dumps(made)
    errors = good(scene.operator.get("/v6/errors/", job_type_name="test"))["results"]
    assert [(each["name"], each["category"]) for each in errors] == [
        ("data-issue-discovered", "DATA"), ("missing-environment", "ALGORITHM"),
    ]  # fmt: skip


def test_its_manifest_is_valid(scene: Scene) -> None:
    verdict = good(scene.operator.post("/v6/job-types/validation/", REQUESTS["POST /v6/job-types/validation/"]))
    assert verdict == {"is_valid": True, "errors": [], "warnings": []}
    assert_like(verdict, ANSWERS["POST /v6/job-types/validation/"])


def test_its_edit_is_done(scene: Scene) -> None:
    wish = REQUESTS["PATCH /v6/job-types/{name}/{version}/"]
    verdict = good(scene.registered().operator.patch("/v6/job-types/test/1.0.0/", wish))
    assert_like(verdict, ANSWERS["PATCH /v6/job-types/{name}/{version}/"])
    row = good(scene.operator.get("/v6/job-types/test/1.0.0/"))
    for name in ("icon_code", "is_published", "is_active", "is_paused", "max_scheduled"):
        assert row[name] == wish[name], name


def test_its_configuration_is_read_as_it_stands() -> None:
    sample = REQUESTS["configuration"]
    assert read_configuration(sample).document() == sample
