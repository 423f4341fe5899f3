"""/api/v1/recordings/settings, and their trial at AWS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from accounts.models import Event, User
from clusters.models import Cluster, RecordingSettings
from clusters.providers.aws import recordings
from clusters.providers.errors import AuthFailed, ProviderError
from tests.clusters.aws import account
from tests.clusters.aws.account import CUSTOMERS, Aws
from tests.clusters.aws.script import Fault, Script, running
from tests.clusters.aws.test_recordings import demanding, on_condition, trusting
from tests.contracts.fishjam_clusters import RECORDINGS, SETTINGS
from tests.factories import Person
from tests.fleet import make_cluster
from tests.people import WHO, everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
VALIDATE: Final = f"{RECORDINGS}/validate"
SHOWN: Final = {**SETTINGS, "trimmed_base_path": "calls"}
# What AWS itself would refuse as written, by the field that is at fault.
MALFORMED: Final = [
    ("role_arn", ""),
    ("role_arn", "recordings"),
    ("role_arn", "arn:aws:iam::12345678901:role/recordings"),
    ("role_arn", "arn:aws:iam::123456789012:user/ada"),
    ("role_arn", "arn:aws:iam::123456789012:role/"),
    ("role_arn", "arn:aws:iam::123456789012:role/two words"),
    ("role_arn", "arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/recordings"),
    ("bucket_region", ""),
    ("bucket_region", "Frankfurt"),
    ("bucket_region", "eu-central-1.example.com"),
    ("bucket_name", ""),
    ("bucket_name", "ab"),
    ("bucket_name", "Our-Recordings"),
    ("bucket_name", "our_recordings"),
    ("bucket_name", "our..recordings"),
    ("bucket_name", "-recordings"),
    ("bucket_name", "192.168.5.4"),
    ("bucket_name", "xn--recordings"),
]
TOO_LONG: Final = [("role_arn", 256), ("bucket_region", 51), ("bucket_name", 64), ("base_path", 256)]


@pytest.fixture
def people() -> Mapping[str, Person]:
    found = everybody()
    User.objects.exclude(username="monitor").update(allowed_features=["recordings"])
    return found


@pytest.fixture
def owner(people: Mapping[str, Person]) -> Person:
    return people["owner"]


@pytest.fixture
def cluster(owner: Person) -> Cluster:
    return make_cluster(owner.user)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in account.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(owner: Person, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """An AWS that lets us in the owner's name, where boto looks for one."""
    with running() as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL", script.endpoint)
        script.say("AssumeRole", demanding(str(owner.user.uuid)))
        script.say("GetBucketLocation", {"LocationConstraint": SETTINGS["bucket_region"]})
        script.say("PutObject", {})
        yield script


@pytest.fixture(scope="module")
def running_moto() -> Iterator[Aws]:
    with account.running(demand_trust=True) as moto:
        here = {"LocationConstraint": SETTINGS["bucket_region"]}
        moto.client("s3", CUSTOMERS).create_bucket(Bucket=SETTINGS["bucket_name"], CreateBucketConfiguration=here)
        yield moto


@pytest.fixture
def moto(running_moto: Aws, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """One whose roles trust whom they say, where boto looks for it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_moto.endpoint)
    return running_moto


def of(cluster: Cluster) -> str:
    return f"{RECORDINGS}?cluster_uuid_hex={cluster.uuid.hex}"


@pytest.mark.parametrize("who", WHO)
def test_they_are_kept_for_one_s_own_clusters_only_and_for_who_has_the_feature(
    who: str, people: Mapping[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    person = people[who]
    monkeypatch.setattr(recordings, "try_bucket", lambda bucket: None)
    others = make_cluster(people["stranger" if who != "stranger" else "owner"].user)
    mine = make_cluster(person.user, "mine") if who not in ("anonymous", "disabled") else others
    answers = [person.get(of(mine)), person.put(of(mine), SETTINGS), person.post(VALIDATE, SETTINGS)]
    if who in ("anonymous", "disabled"):
        assert [answer.status_code for answer in answers] == [401] * 3
        return
    if who == "monitor":
        words = {"detail": "Recordings are not among what your account may use."}
        assert [(answer.status_code, answer.json()) for answer in answers] == [(403, words)] * 3
        assert not RecordingSettings.objects.exists()
        return
    assert [answer.status_code for answer in answers] == [404, 200, 200]
    assert answers[0].json() == {"detail": "The cluster has no settings for recordings."}
    assert answers[1].json() == SHOWN == person.get(of(mine)).json()
    assert answers[2].json() == {"failing_field": None, "detail": "The settings allow us to write."}
    for answer in (person.get(of(others)), person.put(of(others), SETTINGS)):
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such cluster, or it is not yours."})


def test_they_cost_little(owner: Person, cluster: Cluster, aws: Script) -> None:
    with within_budget("PUT /api/v1/recordings/settings"):
        assert owner.put(of(cluster), SETTINGS).status_code == 200
    with within_budget("GET /api/v1/recordings/settings"):
        assert owner.get(of(cluster)).status_code == 200
    with within_budget("POST /api/v1/recordings/settings/validate"):
        assert owner.post(VALIDATE, SETTINGS).status_code == 200


def test_they_are_replaced_and_the_log_tells_each_change_once(owner: Person, cluster: Cluster) -> None:
    owner.put(of(cluster), SETTINGS)
    owner.put(of(cluster), SETTINGS)
    shown = owner.put(of(cluster), {**SETTINGS, "base_path": "//a/b//"}).json()
    assert shown == {**SETTINGS, "base_path": "//a/b//", "trimmed_base_path": "a/b"}
    without = {name: value for name, value in SETTINGS.items() if name != "base_path"}
    assert owner.put(of(cluster), without).json() == {**without, "base_path": "/", "trimmed_base_path": ""}
    told = Event.objects.filter(kind="cluster.changed")
    assert [each.after["fields"] for each in told] == [["recording_settings"]] * 3  # type: ignore[index]
    assert {each.actor_id for each in told} == {owner.user.pk}
    assert RecordingSettings.objects.count() == 1


def test_without_a_cluster_they_are_nobody_s(owner: Person, cluster: Cluster) -> None:
    for answer in (owner.get(RECORDINGS), owner.put(RECORDINGS, SETTINGS)):
        assert answer.status_code == 422
        fault = {"type": "missing", "loc": ["query", "cluster_uuid_hex"], "msg": "This is required."}
        assert answer.json() == {"detail": [fault]}
    for strange in ("", "x", str(uuid.uuid4())):
        assert owner.get(RECORDINGS, cluster_uuid_hex=strange).status_code == 404


@pytest.mark.parametrize(("field", "value"), MALFORMED)
def test_what_cannot_be_is_refused_by_its_field_before_anybody_is_asked(
    field: str, value: str, owner: Person, cluster: Cluster
) -> None:
    body = {**SETTINGS, field: value}
    kept = owner.put(of(cluster), body)
    assert kept.status_code == 422
    assert [each["loc"] for each in kept.json()["detail"]] == [["body", field]]
    tried = owner.post(VALIDATE, body)
    assert (tried.status_code, tried.json()["failing_field"]) == (400, field)
    assert tried.json()["detail"]
    assert not RecordingSettings.objects.exists()


@pytest.mark.parametrize("body", [[], {}, *({**SETTINGS, name: value} for name in SETTINGS for value in (7, None))])
def test_a_body_that_cannot_be_read_is_refused(body: Any, owner: Person, cluster: Cluster) -> None:
    for answer in (owner.put(of(cluster), body), owner.post(VALIDATE, body)):
        assert answer.status_code == 422


@pytest.mark.parametrize(("field", "length"), TOO_LONG)
def test_each_text_has_an_end(field: str, length: int, owner: Person, cluster: Cluster) -> None:
    answer = owner.put(of(cluster), {**SETTINGS, field: "a" * length})
    assert answer.status_code == 422
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", field]]


# --- The trial -------------------------------------------------------------------------------------


def test_a_trial_is_in_the_user_s_name_and_keeps_nothing(owner: Person, aws: Script) -> None:
    assert owner.post(VALIDATE, SETTINGS).json()["failing_field"] is None
    asked, *_ = aws.asked("AssumeRole")
    assert (asked["ExternalId"], asked["RoleArn"]) == (str(owner.user.uuid), SETTINGS["role_arn"])
    [put] = aws.asked("PutObject")
    assert put == {"Bucket": SETTINGS["bucket_name"], "Key": f"calls/{recordings.OBJECT}"}
    assert not RecordingSettings.objects.exists()


@pytest.mark.parametrize(
    ("action", "answer", "field"),
    [
        ("AssumeRole", Fault(403, "AccessDenied"), "role_arn"),
        ("GetBucketLocation", Fault(404, "NoSuchBucket"), "bucket_name"),
        ("GetBucketLocation", {"LocationConstraint": "eu-west-1"}, "bucket_region"),
        ("PutObject", Fault(403, "AccessDenied"), "base_path"),
    ],
)
def test_what_aws_refuses_is_told_by_its_field(
    action: str, answer: Any, field: str, owner: Person, aws: Script
) -> None:
    aws.say(action, answer)
    refused = owner.post(VALIDATE, SETTINGS)
    assert (refused.status_code, refused.json()["failing_field"]) == (400, field)
    assert set(refused.json()) == {"failing_field", "detail"}


def test_a_role_is_good_for_the_user_alone_whose_uuid_it_demands(
    people: Mapping[str, Person], owner: Person, moto: Aws
) -> None:
    uuid_of_owner = str(owner.user.uuid)
    body = {**SETTINGS, "role_arn": moto.make_role(f"of-{uuid_of_owner}", trusting(uuid_of_owner), CUSTOMERS)}
    answer = owner.post(VALIDATE, body)
    assert (answer.status_code, answer.json()["failing_field"]) == (200, None)
    refused = people["stranger"].post(VALIDATE, body)
    assert (refused.status_code, refused.json()["failing_field"]) == (400, "role_arn")
    assert f"with the external id {people['stranger'].user.uuid}" in refused.json()["detail"]


def test_a_role_that_demands_nobody_s_uuid_is_refused_to_everybody(owner: Person, moto: Aws) -> None:
    role = moto.make_role(f"lax-{owner.user.uuid}", on_condition({}), CUSTOMERS)
    refused = owner.post(VALIDATE, {**SETTINGS, "role_arn": role})
    assert refused.status_code == 400
    demand = f"its trust policy has to demand that sts:ExternalId equals {owner.user.uuid}"
    words = f"This role can be taken without an external id: {demand}."
    assert refused.json() == {"failing_field": "role_arn", "detail": words}


@pytest.mark.parametrize("error", [ProviderError("out of reach"), AuthFailed("our own credentials")])
def test_an_aws_that_cannot_be_asked_is_no_verdict(
    error: ProviderError, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(bucket: object) -> None:
        raise error

    monkeypatch.setattr(recordings, "try_bucket", fail)
    answer = owner.post(VALIDATE, SETTINGS)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json() == {"detail": "AWS cannot be asked just now, so the settings could not be tried."}
