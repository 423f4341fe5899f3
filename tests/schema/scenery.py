"""What is there before made-up requests come: people, jobs in every state, and the names that requests may hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from accounts import services as accounts
from accounts.models import ApiToken, Customer, LimitChangeRequest, User, Webhook
from billing import services as money
from billing.models import Bill, Budget, UsageRecord
from clusters import services as clusters
from clusters.models import Cluster, Container, ImageVersion, Offer, Price, Rollout
from jobs import failures, services, states
from jobs.models import (
    Artifact,
    Execution,
    FailureCluster,
    File,
    Gate,
    Hold,
    Job,
    Kind,
    LoadSample,
    Operation,
    Recipe,
    Scope,
)
from jobs.policy import Policy
from jobtypes.models import Category, Error, JobType, RecipeType, Workspace
from jobtypes.queries import storage_of
from jobtypes.services import create_error
from tests.factories import Person, Stage, keep_output, make_admin, make_customer_user, make_job_in, make_operator
from tests.fleet import make_cluster, make_container, make_version
from tests.hooks import make_delivery, make_webhook
from tests.mapreduce import make_mapreduce
from tests.recipes import make_recipe

# Those that nothing starts last: what stands in line is claimed in the order of its coming.
STATES: Final = (
    *(states.DELAYED, states.RUNNING, states.CANCELING, states.COMPLETED, states.FAILED, states.CANCELED),
    *(states.REJECTED, states.STARTING, states.PENDING, states.BLOCKED, states.QUEUED),
)


# What the last parameter of a path names, by what stands before it.
NAMED_BY: Final = {
    "jobs": "job", "job-executions": "execution", "executions": "number", "operations": "operation", "holds": "hold",
    "quotas": "quota",  "errors": "error", "users": "user", "customers": "customer_id", "tokens": "token",
    "webhooks": "webhook", "clusters": "cluster", "jellyfish": "container", "containers": "container",
    "failure-clusters": "failure_cluster", "rollouts": "rollout", "image-versions": "image_version_id",
    "workspaces": "workspace", "files": "file", "artifacts": "artifact", "recipes": "recipe",
    "recipe-types": "recipe_type", "job-types": "job_type_name", "status": "job_uuid", "cancel": "job_uuid",
    "retry": "job_uuid", "logs": "job_uuid", "limit-change-requests": "limit_request",
    "usage": "usage", "bills": "bill", "budgets": "budget", "prices": "price",
}  # fmt: skip
# Parameters that have a value of their own, whatever stands before them.
_FIXED: Final = {"position": "1", "version": "1.0.0", "revision_num": "1", "stream": "combined", "number": "1"}


def filled(path: str, names: Mapping[str, Any]) -> str:
    """A path with names of what exists for its parameters; `names` by the kind of thing, as NAMED_BY has them."""
    parts = path.split("/")
    found = []
    for before, part in zip(["", *parts], parts, strict=False):
        name = part.strip("{}")
        if not part.startswith("{"):
            found.append(part)
        elif name in names:
            found.append(str(names[name]))
        else:
            found.append(_FIXED.get(name) or str(names[NAMED_BY[before]]))
    return "/".join(found)


@dataclass
class Scenery:
    """The people who call, by what they are called in the trial, and what there is to be named."""

    people: Mapping[str, Person]
    operator: Person
    stage: Stage = field(default_factory=Stage)

    def revive(self, who: str) -> Person | None:
        """The caller, able to call again whatever was done to them meanwhile."""
        person = self.people.get(who)
        if person is None:
            return None
        before = {"is_active": True, "role": person.user.role, "customer": person.user.customer}
        User.objects.filter(pk=person.user.pk).update(**before)
        person.user.refresh_from_db()
        return Person(person.user, accounts.issue_token(user=person.user, actor=None))

    def names(self) -> dict[str, Sequence[Any]]:
        """Existing values by the kind of thing: the newest, and never the callers themselves to be archived."""
        jobs = Job.objects.order_by("-pk")[:40]
        callers = [person.user.pk for person in self.people.values()]
        return {
            "job": [value for job in jobs for value in (job.pk, str(job.uuid))],
            "job_uuid": [str(job.uuid) for job in jobs],
            "number": [1, 2],
            "execution": [
                value for each in Execution.objects.order_by("-pk")[:20] for value in (each.pk, str(each.uuid))
            ],
            "operation": list(Operation.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "hold": list(Hold.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "failure_cluster": list(FailureCluster.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "quota": list(Gate.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "error": list(Error.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "user": list(User.objects.order_by("-pk").values_list("pk", flat=True)[:10]) + callers,
            "username": list(User.objects.order_by("-pk").values_list("username", flat=True)[:10]),
            "customer": list(Customer.objects.order_by("pk").values_list("name", flat=True)[:4]),
            "customer_id": list(Customer.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "workspace": list(Workspace.objects.values_list("name", flat=True)[:10]),
            "artifact": list(Artifact.objects.order_by("-pk").values_list("name", flat=True)[:10]),
            "file": list(File.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "job_type": list(JobType.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "job_type_name": list(JobType.objects.order_by("-pk").values_list("name", flat=True)[:10]),
            "recipe_type": list(RecipeType.objects.order_by("-pk").values_list("name", flat=True)[:10]),
            "recipe_type_id": list(RecipeType.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "recipe": list(Recipe.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "limit_request": list(LimitChangeRequest.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "usage": list(UsageRecord.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "bill": list(Bill.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "budget": list(Budget.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "offer": list(Offer.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "price": list(Price.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "rollout": list(Rollout.objects.order_by("-pk").values_list("pk", flat=True)[:20]),
            "image_version_id": list(ImageVersion.objects.order_by("-pk").values_list("pk", flat=True)[:10]),
            "webhook": [str(each) for each in Webhook.objects.order_by("-pk").values_list("uuid", flat=True)[:20]],
            "cluster": [str(each) for each in Cluster.objects.order_by("-pk").values_list("uuid", flat=True)[:20]],
            "container": [str(each) for each in Container.objects.order_by("-pk").values_list("uuid", flat=True)[:20]],
            "image_version": list(ImageVersion.objects.order_by("-pk").values_list("version", flat=True)[:10]),
            "token": [str(each) for each in ApiToken.objects.order_by("-pk").values_list("uuid", flat=True)[:20]],
        }


def make_scenery() -> Scenery:
    """A database in which every kind of thing exists, and jobs in every state for each who may have some."""
    failures.group_failures()  # from here on
    operator = make_operator("operator")
    people = {"admin": make_admin("root"), "customer": make_customer_user("ada", "acme")}
    scenery = Scenery(people, operator)
    for owner in (people["customer"], operator):
        for state in STATES:
            job = make_job_in(state, owner, stage=scenery.stage, tags={"project": "tour"}, env={"A": "b"})
            if state in (states.COMPLETED, states.FAILED):
                keep_output(job, stdout="a line\n", stderr="an error\n")
    for owner in (people["customer"], operator):
        make_mapreduce(owner)
        _make_more(owner)
        make_recipe(owner=owner)
    # Who has the feature may have recordings: of the others, all are refused.
    accounts.update_user(user=people["customer"].user, actor=operator.user, allowed_features=["recordings"])
    if settings.STRIPE_API_KEY:
        money.make_payment_details(user=people["customer"].user)
    _make_bills(people["admin"].user)
    failures.group_failures()
    for file in File.objects.select_related("workspace"):
        storage_of(file.workspace).put(file.path, [b"a text"])
    return scenery


def _make_bills(actor: User) -> None:
    """Of each customer, for what staff put onto it; and a budget."""
    for customer in Customer.objects.order_by("pk"):
        money.correct(actor=actor, customer=customer, amount_nano=10**9, note="The first month.")
        money.set_budget(actor=actor, customer=customer, limit_nano=10**15)
    money.draw_up_drafts()


def _make_more(owner: Person) -> None:
    """Bulk work, holds, quotas, an error, tokens, a sample of the load."""
    actor = owner.user
    services.hold_jobs(
        list(Job.objects.filter(status=states.QUEUED).values_list("pk", flat=True)), hint="", actor=actor
    )
    for kind in Kind.values:
        parameters = {"priority": 5} if kind == Kind.PRIORITY else {}
        services.start_operation(kind=kind, selection={"customer": ["acme"]}, parameters=parameters, actor=actor)
    for customer in Customer.objects.all()[:2]:
        services.place_hold(
            scope=Scope.CUSTOMER, scope_id=str(customer.pk), code=f"OF_{actor.pk}", hint="", actor=actor
        )
        services.set_cap(
            scope=Scope.CUSTOMER,
            scope_id=str(customer.pk),
            max_jobs=100,
            max_vcpus_milli=None,
            max_queued_jobs=100_000,
            hint="",
            actor=actor,
        )
    for job_type in JobType.objects.all():
        services.set_job_type_policy(job_type, Policy(tries={"SYSTEM": 2}), actor=actor)
    create_error(name=f"of-{actor.pk}", title="One", category=Category.values[0], actor=actor)
    accounts.request_limit(user=actor, desired_limit=50, reason="More rooms.")
    for number in range(3):
        accounts.create_token(user=actor, actor=actor, name=f"more {number}", expires_at=None)
        make_delivery(make_webhook(actor, "Bearer x"), 1)
        make_webhook(actor, form="fishjam")
    make_container(make_cluster(actor))
    make_version("2.0")
    # The newest one has a rollout: names of the newest go together.
    cluster = make_cluster(actor, f"of-{actor.pk}")
    make_container(cluster)
    clusters.start_rollout(cluster=cluster, actor=actor, image_version="2.0")
    LoadSample.objects.get_or_create(
        at=Job.objects.earliest("submitted_at").submitted_at.replace(second=0, microsecond=0),
        defaults={"pending": 1, "queued": 2, "running": 3},
    )
