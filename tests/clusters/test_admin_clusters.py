"""Clusters in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Event
from clusters import services, states
from clusters.models import Cluster, Container
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import make_customer_user
from tests.fleet import make_cluster, make_container, make_version
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
CLUSTERS = "/admin/clusters/cluster/"
NAMES = ("edit", "scale", "roll", "archive")
ADD = f"{CLUSTERS}add/"


def page_of(row: Cluster, name: str = "change") -> str:
    return reverse(f"admin:clusters_cluster_{name}", args=[row.pk])


def press(row: Cluster, name: str, wish: Any = None, role: str = "admin") -> Any:
    return browser(role).post(page_of(row, name), wish or {})


def listed(**parameters: Any) -> list[Any]:
    return [row.name for row in browser("monitor").get(CLUSTERS, parameters).context["cl"].result_list]


def of_somebody(name: str = "media") -> Cluster:
    return make_cluster(somebody("admin"), name)


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_and_only_admins_have_buttons(role: str) -> None:
    cluster, client = of_somebody(), browser(role)
    assert client.get(CLUSTERS).status_code == 200
    shown = text_of(client.get(page_of(cluster)))
    for name in NAMES:
        assert (page_of(cluster, name) in shown) is (role == "admin")
        assert client.get(page_of(cluster, name)).status_code == (200 if role == "admin" else 403)
        if role != "admin":
            assert press(cluster, name, role=role).status_code == 403
    cluster.refresh_from_db()
    assert cluster.archived_at is None


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    cluster = of_somebody()
    for path in (CLUSTERS, page_of(cluster), page_of(cluster, "archive")):
        assert "/admin/login/" in browser(role).get(path).headers["Location"]
    assert press(cluster, "archive", role=role).status_code == 302
    cluster.refresh_from_db()
    assert cluster.archived_at is None


def test_no_page_shows_the_token() -> None:
    cluster = make_cluster(somebody("admin"), token="very-hidden")
    make_container(cluster)
    for path in (CLUSTERS, page_of(cluster), page_of(cluster, "roll"), page_of(cluster, "archive")):
        shown = text_of(browser("admin").get(path))
        assert not any(secret in shown for secret in ("very-hidden", cluster.secrets, cluster.token_digest))


def test_the_list_counts_containers_by_state_at_the_same_cost() -> None:
    cluster = of_somebody()
    services.start_rollout(cluster=cluster, actor=None, image_version=make_version("2.0").version)
    make_container(cluster)
    shown = text_of(browser("monitor").get(CLUSTERS))
    assert "1 PENDING" in shown
    assert "ROLLING" in shown
    for number in range(4):
        make_container(of_somebody(f"media-{number}"))
    client = browser("monitor")
    client.get(CLUSTERS)
    with within_budget("admin: clusters"):
        client.get(CLUSTERS)


def test_the_list_is_narrowed() -> None:
    cluster = of_somebody()
    assert listed(owner__username="browser-admin") == ["media"]
    assert listed(owner__username="nobody") == []
    assert listed(customer__name="acme") == []
    assert listed(q=str(cluster.pk)) == listed(q=str(cluster.uuid)) == ["media"]
    assert listed(q="what") == []


def test_a_page_shows_containers_rollouts_and_what_happened_at_the_same_cost() -> None:
    cluster = of_somebody()
    make_version("2.0")
    made = make_container(cluster)
    press(cluster, "roll", {"image_version": "2.0", "max_unavailable": 1})
    client = browser("monitor")
    for _ in range(2):
        with within_budget("admin: cluster page"):
            shown = text_of(client.get(page_of(cluster)))
        make_container(cluster)
    assert all(text in shown for text in (made.name, "ROLLING", "cluster.rollout-started", "cluster.created"))


def test_an_admin_rolls_a_cluster_on_pauses_resumes_and_rolls_it_back() -> None:
    cluster = of_somebody()
    make_version("2.0")
    answer = press(cluster, "roll", {"image_version": "2.0", "max_unavailable": 3})
    assert answer.headers["Location"] == page_of(cluster)
    rollout = cluster.rollouts.get()
    assert (rollout.target.version, rollout.max_unavailable) == ("2.0", 3)
    assert press(cluster, "roll").status_code == press(cluster, "resume").status_code == 403
    press(cluster, "pause")
    rollout.refresh_from_db()
    assert rollout.status == states.PAUSED
    press(cluster, "resume")
    rollout.refresh_from_db()
    assert rollout.status == states.ROLLING
    press(cluster, "back")
    rollout.refresh_from_db()
    assert rollout.is_back
    assert press(cluster, "back").status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_version", ""), ("image_version", "9.9"), ("image_version", "1.0"), ("max_unavailable", "0"),
        ("max_unavailable", "1001"), ("max_unavailable", "some"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_at_its_field(field: str, value: str) -> None:
    cluster = of_somebody()
    make_version("2.0")
    answer = press(cluster, "roll", {"image_version": "2.0", "max_unavailable": 1, field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not cluster.rollouts.exists()


def test_an_admin_archives_a_cluster_that_has_no_active_containers() -> None:
    cluster = of_somebody()
    made = make_container(cluster)
    refused = browser("admin").post(page_of(cluster, "archive"), follow=True)
    assert "still has active containers" in text_of(refused)
    assert not Cluster.objects.exclude(archived_at=None).exists()
    Container.objects.filter(pk=made.pk).update(status=states.FAILED)
    press(cluster, "archive")
    cluster.refresh_from_db()
    assert cluster.archived_at is not None
    assert press(cluster, "archive").status_code == press(cluster, "roll").status_code == 403


# --- Making, naming and scaling ----------------------------------------------------------------------


def test_an_admin_makes_a_cluster_for_somebody_names_and_scales_it() -> None:
    owner = make_customer_user("mary").user
    wish = {"owner": "mary", "name": "media", "image_version": make_version("2.0").version}
    answer = browser("admin").post(ADD, wish)
    row = Cluster.objects.get()
    assert answer.headers["Location"] == page_of(row)
    assert (row.owner, row.customer, row.name, row.image_version.version) == (owner, owner.customer, "media", "2.0")
    events = Event.objects.filter(kind="cluster.created", subject_id=row.pk)
    assert [event.actor for event in events] == [somebody("admin")]
    press(row, "edit", {"name": "talks"})
    press(row, "scale", {"count": 2, "location": "us_west", "machine_type": "small"})
    row.refresh_from_db()
    assert row.name == "talks"
    made = row.containers.values_list("location", "machine_type")
    assert list(made) == [("us_west", "small")] * 2
    press(row, "scale", {"count": 0, "location": "us_west", "machine_type": "small"})
    assert not row.containers.filter(archived_at=None, status=states.PENDING).exists()


@pytest.mark.parametrize(
    ("wish", "field", "said"),
    [
        ({"owner": "nobody"}, "owner", "There is no user of this name."),
        ({"image_version": "9"}, "image_version", "version"),
        ({"name": "taken"}, "name", "already"),
        ({"name": ""}, "name", "This field is required."),
    ],
)
def test_what_is_wrong_with_a_new_cluster_is_told_at_its_field(wish: dict[str, str], field: str, said: str) -> None:
    make_cluster(make_customer_user("mary").user, "taken")
    version = make_version("2.0").version
    answer = browser("admin").post(ADD, {"owner": "mary", "name": "media", "image_version": version, **wish})
    assert answer.status_code == 200
    assert said in " ".join(answer.context["form"].errors[field])
    assert Cluster.objects.count() == 1


def test_a_cluster_that_is_archived_is_neither_named_nor_scaled() -> None:
    row = of_somebody()
    services.archive_cluster(cluster=row, actor=None)
    assert press(row, "edit", {"name": "other"}).status_code == 403
    assert press(row, "scale", {"count": 1}).status_code == 403


@pytest.mark.parametrize("role", [role for role in STAFF if role != "admin"])
def test_other_staff_make_none(role: str) -> None:
    assert browser(role).get(ADD).status_code == 403
    assert ADD not in text_of(browser(role).get(CLUSTERS))
    assert browser(role).post(ADD, {"owner": "x"}).status_code == 403
