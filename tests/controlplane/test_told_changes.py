"""Whatever people configure, each change is told: who, and from what to what, of exactly what is other now.

A thing of each kind is made and changed by its services, which the API, the admin and commands call. What the log tells
then, folded back, has to be what the thing was before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.contrib import admin

from accounts import services as accounts
from accounts.configured import CONFIGURED
from accounts.event_kinds import KINDS
from accounts.models import ApiToken, Customer, Event, Invitation, LimitChangeRequest, Role, User, Webhook
from accounts.row_history import page_of, then
from billing import services as billing
from billing.models import Budget
from clusters import services as clusters
from clusters.models import Cluster, Container, ImageVersion, Location, Offer, Price
from controlplane.core.service_admin import ServiceAdmin
from jobs import services as jobs
from jobs.models import FailureCluster, Gate, Hold, Scope
from jobs.policy import read_policy
from jobtypes import services as jobtypes
from jobtypes.models import Error, JobType, RecipeType, Workspace
from jobtypes.services.recipe_types import edit_recipe_type
from tests.browsers import somebody
from tests.factories import make_customer_user, make_job_type, make_workspace, manifest_of
from tests.fleet import make_cluster, make_container, make_version
from tests.hooks import make_webhook
from tests.recipes import CHAIN, FORK, make_recipe_type

pytestmark = pytest.mark.django_db
Act = Callable[[Any, User], object]
SECRET: Final = "never-to-be-told"
UNTOLD: Final = {"url"}  # an address may have a key in it
SOON: Final = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """How one is made, and what is done to it, one after the other; each tells of what is other then."""

    make: Callable[[User], Any]
    acts: dict[str, Act]


def _policy(**members: Any) -> Any:
    return read_policy(members, name="", region="here")


def _offer() -> Offer:
    size: dict[str, Any] = {"vcpus_milli": 2000, "memory_mib": 4096}
    return Offer.objects.get_or_create(cloud="aws", region="eu-west-1", name="m5", capacity="on-demand", **size)[0]


def _listed(**facts: Any) -> clusters.ListedPrice:
    listed = clusters.ListedPrice(
        cloud="aws", region="eu-west-1", name="m5", capacity="on-demand", vcpus_milli=2000, memory_mib=4096,
        amount=Decimal("0.1"), valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return replace(listed, **facts)


def _customer_user() -> User:
    return make_customer_user("ada").user


def _acme() -> Customer:
    return Customer.objects.get_or_create(name="acme")[0]


def _bucket(**more: Any) -> dict[str, Any]:
    credentials = {"access_key_id": "AKIA1", "secret_access_key": SECRET}
    return {"broker": {"type": "s3", "bucket_name": "raw", "credentials": credentials, **more}}


def _recordings(row: Cluster, by: User) -> None:
    accounts.update_user(user=row.owner, actor=by, allowed_features=["recordings"])
    wish = {"role_arn": "arn:aws:iam::123456789012:role/r", "bucket_region": "eu-west-1", "bucket_name": "films"}
    row.owner.refresh_from_db()
    clusters.set_recording_settings(cluster=row, actor=by, **wish)


def _rollout(row: Cluster, by: User) -> None:
    make_version("3.0")
    clusters.start_rollout(cluster=row, actor=by, image_version="3.0")


def _secretive(by: User) -> JobType:
    settings = [{"name": "LANGUAGE"}, {"name": "KEY", "secret": True}]
    manifest = manifest_of(settings=settings)
    configuration = _configuration(settings={"LANGUAGE": "de", "KEY": SECRET})
    wish = {"docker_image": "count:1", "manifest": manifest, "configuration": configuration}
    return jobtypes.create_job_type(actor=by, **wish).job_type  # type: ignore[arg-type]


def _configuration(**members: Any) -> dict[str, Any]:
    return {"output_workspaces": {"default": make_workspace().name}, **members}


CASES: Final[dict[type[Any], Case]] = {
    JobType: Case(
        _secretive,
        {
            "pause": lambda row, by: jobtypes.edit_job_type(row, actor=by, is_paused=True),
            "cap and publish": lambda row, by: jobtypes.edit_job_type(
                row, actor=by, max_scheduled=3, is_published=True, icon_code="f0ad"
            ),
            "configure": lambda row, by: jobtypes.edit_job_type(
                row, actor=by, configuration=_configuration(priority=7, settings={"LANGUAGE": "en", "KEY": SECRET})
            ),
            "revise": lambda row, by: jobtypes.edit_job_type(
                row, actor=by, manifest=row.manifest, docker_image="count:2"
            ),
            "set a policy": lambda row, by: jobs.set_job_type_policy(row, _policy(tries={"DATA": 2}), actor=by),
            "set another": lambda row, by: jobs.set_job_type_policy(row, _policy(backoff_seconds=5), actor=by),
            "clear it": lambda row, by: jobs.clear_job_type_policy(row, actor=by),
            "deprecate": lambda row, by: jobtypes.edit_job_type(row, actor=by, is_active=False),
        },
    ),
    RecipeType: Case(
        lambda by: make_recipe_type(CHAIN),
        {
            "edit": lambda row, by: edit_recipe_type(row.name, actor=by, title="Other", description="Words"),
            "revise": lambda row, by: edit_recipe_type(row.name, actor=by, definition=FORK),
            "deprecate": lambda row, by: edit_recipe_type(row.name, actor=by, is_active=False),
            "reactivate": lambda row, by: edit_recipe_type(row.name, actor=by, is_active=True),
        },
    ),
    Workspace: Case(
        lambda by: jobtypes.create_workspace(title="Raw", configuration=_bucket(), actor=by),
        {
            "edit": lambda row, by: jobtypes.edit_workspace(row, actor=by, title="Other", base_url="https://a.example"),
            "move": lambda row, by: jobtypes.edit_workspace(row, actor=by, configuration=_bucket(prefix="in")),
            "deprecate": lambda row, by: jobtypes.edit_workspace(row, actor=by, is_active=False),
        },
    ),
    Error: Case(
        lambda by: jobtypes.create_error(name="no-frames", title="No frames", category="DATA", actor=by),
        {"edit": lambda row, by: jobtypes.update_error(row, actor=by, title="None", should_be_retried=True)},
    ),
    Gate: Case(
        lambda by: jobs.set_cap(scope=Scope.ALL, max_jobs=3, hint="few", actor=by),
        {
            "change": lambda row, by: jobs.set_cap(scope=Scope.ALL, max_jobs=5, max_queued_jobs=9, actor=by),
            "lift": lambda row, by: jobs.lift_cap(row, actor=by),
        },
    ),
    FailureCluster: Case(
        lambda by: FailureCluster.objects.create(title="It fails", first_seen=SOON, last_seen=SOON),
        {
            "name": lambda row, by: jobs.name_cluster(row.pk, actor=by, name="one", title="One", category="DATA"),
            "rename": lambda row, by: jobs.name_cluster(row.pk, actor=by, name="two", title="Two", category="DATA"),
            "unname": lambda row, by: jobs.unname_cluster(row.pk, actor=by),
        },
    ),
    Hold: Case(
        lambda by: jobs.place_hold(scope=Scope.ALL, code="DEPLOY", hint="soon", actor=by),
        {"lift": lambda row, by: jobs.lift_hold(row, actor=by)},
    ),
    Budget: Case(
        lambda by: billing.set_budget(actor=by, customer=_customer_user().customer, limit_nano=10**9),
        {
            "raise": lambda row, by: billing.change_budget(budget=row, actor=by, limit_nano=2 * 10**9),
            "only warn": lambda row, by: billing.change_budget(budget=row, actor=by, is_hard=False),
            "lift": lambda row, by: billing.lift_budget(budget=row, actor=by),
        },
    ),
    Price: Case(
        lambda by: clusters.set_price(_offer(), amount=Decimal("0.25"), actor=by, valid_from=SOON),
        {
            "say another": lambda row, by: clusters.set_price(
                row.offer, amount=Decimal("0.5"), actor=by, valid_from=SOON
            ),
            "end by the next": lambda row, by: clusters.set_price(
                row.offer, amount=Decimal("1"), actor=by, valid_from=SOON + timedelta(days=1)
            ),
        },
    ),
    Offer: Case(lambda by: _offer(), {}),
    Location: Case(
        lambda by: Location.objects.order_by("pk")[0],
        {
            "withdraw": lambda row, by: clusters.edit_location(row=row, actor=by, is_offered=False),
            "move": lambda row, by: clusters.edit_location(row=row, actor=by, cloud="aws", region="eu-west-1"),
        },
    ),
    ImageVersion: Case(
        lambda by: clusters.add_image_version(
            actor=by, version="9.0", image="media:9", env={"KEY": SECRET}, customers=[], is_default=True
        ),
        {
            "choose": lambda row, by: clusters.edit_image_version(
                row=row, actor=by, customers=[_acme()], is_deprecated=True
            ),
            "no default": lambda row, by: clusters.edit_image_version(row=row, actor=by, is_default=False),
            "default": lambda row, by: clusters.edit_image_version(row=row, actor=by, is_default=True),
            "another default": lambda row, by: clusters.add_image_version(
                actor=by, version="9.1", image="media:9", is_default=True
            ),
        },
    ),
    Cluster: Case(
        lambda by: make_cluster(somebody(Role.ADMIN)),
        {
            "rename": lambda row, by: clusters.change_cluster(cluster=row, actor=by, name="other"),
            "set recordings": _recordings,
            "roll": _rollout,
            "roll back": lambda row, by: clusters.roll_back(rollout=row.rollouts.get(), actor=by),
            "archive": lambda row, by: clusters.archive_cluster(cluster=row, actor=by),
        },
    ),
    Container: Case(
        lambda by: make_container(make_cluster(somebody(Role.ADMIN)), name="first"),
        {"drain": lambda row, by: clusters.drain_container(container=row, actor=by, is_draining=True)},
    ),
    User: Case(
        lambda by: accounts.create_user(username="eve", role="monitor", actor=by),
        {
            "promote": lambda row, by: accounts.update_user(user=row, actor=by, role="operator", email="e@a.example"),
            "limit": lambda row, by: accounts.update_user(
                user=row, actor=by, instance_limit=77, allowed_features=["recordings"]
            ),
            "disable": lambda row, by: accounts.disable_user(username=row.username, actor=by),
            "enable": lambda row, by: accounts.enable_user(username=row.username, actor=by),
        },
    ),
    Customer: Case(lambda by: accounts.create_customer(name="globex", actor=by), {}),
    ApiToken: Case(
        lambda by: accounts.create_token(user=by, actor=by, name="ci", scope="read", expires_at=SOON).row,
        {"archive": lambda row, by: accounts.archive_token(token=row, actor=by)},
    ),
    Invitation: Case(
        lambda by: accounts.create_invitation(name="friends", expires_at=SOON, note="soon", actor=by).row,
        {"revoke": lambda row, by: accounts.revoke_invitation(invitation=row, actor=by)},
    ),
    LimitChangeRequest: Case(
        lambda by: accounts.request_limit(user=by, desired_limit=50, reason="More."),
        {"approve": lambda row, by: accounts.approve_limit(request=row, actor=by, note="Fine.")},
    ),
    Webhook: Case(
        lambda by: make_webhook(by, authorization=f"Bearer {SECRET}"),
        {
            "change": lambda row, by: accounts.change_webhook(
                webhook=row, actor=by, name="nightly", kinds=["job.moved"], url=f"https://a.example/{SECRET}"
            ),
            "disable": lambda row, by: accounts.change_webhook(webhook=row, actor=by, is_enabled=False),
            "delete": lambda row, by: accounts.delete_webhook(webhook=row, actor=by),
        },
    ),
}
# What has pages to change it, and is no configuration: what is done to it is told by events of its own.
NOT_CONFIGURED: Final = {
    "Artifact", "Bill", "ClosedMonth", "Difference", "File", "Job", "Operation", "Recipe", "UsageRecord",
    "ParkedEvent", "WebhookDelivery",
}  # fmt: skip


def _facts(row: Any) -> dict[str, Any] | None:
    """What people may say of a row, as it is now; None when it is gone."""
    fresh = type(row)._default_manager.filter(pk=row.pk).first()
    return None if fresh is None else admin.site._registry[type(row)].configuration(fresh)  # type: ignore[attr-defined]


def _subject(row: Any) -> Any:
    its: Any = admin.site._registry[type(row)]
    return its.log_subject(row.pk, type(row)._default_manager.filter(pk=row.pk).first() or row)


def _told(changes: list[Any]) -> set[str]:
    return {name for each in changes for name in each.before if each.before[name] != each.after.get(name)}


def test_whatever_has_a_page_to_change_it_is_in_the_table() -> None:
    registered = {model for model, its in admin.site._registry.items() if isinstance(its, ServiceAdmin)}
    assert {model.__name__ for model in registered - set(CASES)} <= NOT_CONFIGURED
    subjects = {_noun(model) for model in CASES}
    assert subjects == set(CONFIGURED)
    assert {kind for told in CONFIGURED.values() for kind in told.kinds} <= set(KINDS)


def _noun(model: type[Any]) -> str:
    its: Any = admin.site._registry[model]
    return its.log_subject(1, model(pk=1)).noun


@pytest.mark.parametrize("model", CASES, ids=lambda model: model.__name__)
def test_each_change_is_told_with_who_and_from_what_to_what(model: type[Any]) -> None:
    case, by = CASES[model], somebody(Role.ADMIN)
    row = case.make(by)
    subject, states = _subject(row), [(Event.objects.latest("pk").pk if Event.objects.exists() else 0, _facts(row))]
    for name, act in case.acts.items():
        last, before = states[-1]
        assert before is not None
        row.refresh_from_db()
        act(row, by)
        after = _facts(row)
        changes = [each for each in page_of(subject, older=None, size=100)[0] if each.id > last]
        changes = [each for each in changes if each.kind in CONFIGURED[subject.noun].kinds]
        assert {each.actor for each in changes} == {by.username}, name
        if after is None:
            assert changes[0].ends, name
            assert changes[0].before == before, name
        else:
            assert _told(changes) == {word for word in before if before[word] != after[word]} != set(), name
        states.append((Event.objects.latest("pk").pk, after))
    for number, (at, state) in enumerate(states):
        found = then(subject, states[-1][1], at)
        assert (found.past.state, found.past.untold - UNTOLD) == (state, frozenset()), number
    assert not any(SECRET in f"{each.before}{each.after}" for each in Event.objects.all())


def test_what_is_so_already_is_told_to_nobody() -> None:
    by = somebody(Role.ADMIN)
    made = make_job_type()
    error = jobtypes.create_error(name="no-frames", title="No frames", category="DATA", actor=by)
    workspace = jobtypes.create_workspace(title="Raw", configuration=_bucket(), actor=by)
    recipe = make_recipe_type(CHAIN)
    version = make_version("9.0")
    count = Event.objects.count()
    jobtypes.edit_job_type(made, actor=by, is_paused=False)
    jobtypes.update_error(error, actor=by, title="No frames")
    jobtypes.edit_workspace(workspace, actor=by, title="Raw", configuration=_bucket())
    edit_recipe_type(recipe.name, actor=by, title=recipe.title, definition=recipe.definition)
    clusters.edit_image_version(row=version, actor=by, is_deprecated=False, customers=[])
    accounts.set_role(user=by, role=Role.ADMIN, actor=by)
    assert Event.objects.count() == count


def test_an_import_of_prices_tells_what_it_changes() -> None:
    clusters.import_prices([_listed()], "aws-price-list")  # type: ignore[arg-type]
    offer = Offer.objects.get(name="m5")
    assert not Event.objects.filter(subject_kind__in=("price", "offer")).exists()  # an offer's first price changes none
    april = datetime(2026, 4, 1, tzinfo=UTC)
    larger = _listed(amount=Decimal("0.2"), valid_from=april, vcpus_milli=4000)
    clusters.import_prices([larger], "aws-price-list")  # type: ignore[arg-type]
    clusters.import_prices([replace(larger, amount=Decimal("0.3"))], "aws-price-list")  # type: ignore[arg-type]
    told = [
        (each.kind, each.before, each.after)
        for each in Event.objects.filter(subject_kind__in=("price", "offer")).order_by("pk")
    ]
    said = {"offer": str(offer), "valid_from": april.isoformat(), "valid_to": None, "source": "aws-price-list"}
    assert told == [
        ("offer.changed", {"vcpus_milli": 2000}, {"vcpus_milli": 4000}),
        ("price.ended", {"valid_to": None}, {"valid_to": april.isoformat()}),
        ("price.set", None, {**said, "amount": "0.2"}),
        ("price.set", {"amount": "0.2"}, {**said, "amount": "0.3"}),
    ]


def test_of_saved_views_those_that_all_staff_see_are_told() -> None:
    by = somebody(Role.ADMIN)
    wish: dict[str, Any] = {"actor": by, "list_name": "jobs_job", "name": "mine"}
    for query, is_shared in (("a=1", False), ("a=2", True), ("a=2", True), ("a=3", True), ("a=3", False)):
        view = accounts.save_view(**wish, query=query, is_shared=is_shared)
    accounts.delete_view(actor=by, view_id=view.pk)
    view = accounts.save_view(**wish, query="b=1", is_shared=True)
    accounts.delete_view(actor=by, view_id=view.pk)
    told = (
        Event.objects.filter(subject_kind="saved_view")
        .order_by("pk")
        .values_list("kind", "before__query", "after__query")
    )
    assert list(told) == [
        ("saved_view.shared", None, "a=2"),
        ("saved_view.shared", "a=2", "a=3"),
        ("saved_view.withdrawn", "a=3", None),
        ("saved_view.shared", None, "b=1"),
        ("saved_view.withdrawn", "b=1", None),
    ]


def test_who_closes_their_account_is_named_in_the_log_by_nothing_that_they_were() -> None:
    ada = _customer_user()
    accounts.update_user(user=ada, actor=somebody(Role.ADMIN), email="ada@a.example")
    ada.refresh_from_db()
    accounts.close_account(ada)
    event = Event.objects.get(kind="user.closing")
    assert (event.before, event.after) == ({"enabled": True}, {"enabled": False, "fields": ["username", "email"]})
    found = then(_subject(ada), _facts(ada), event.pk - 1)
    assert found.past.state is not None
    assert found.past.state["enabled"] is True
    assert found.past.untold == {"username", "email"}


def test_tokens_that_go_at_once_are_named() -> None:
    by = somebody(Role.ADMIN)
    rows = [accounts.create_token(user=by, actor=by, name=name).row for name in ("one", "two")]
    before = Event.objects.latest("pk").pk
    assert accounts.revoke_tokens(user=by, actor=by) == 2
    event = Event.objects.latest("pk")
    assert event.after == {"tokens": 2, "prefixes": [each.prefix for each in rows], "is_archived": True}
    for row in rows:
        state = then(_subject(row), _facts(row), before).past.state
        assert state is not None
        assert state["is_archived"] is False
