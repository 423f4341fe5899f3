"""What staff type to submit work: the base of the forms, and those of container and instance jobs.

Each form says the same thing twice: as the request that a service takes, and as the body that the v6 API takes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString

from accounts.models import User
from clusters.queries import CLOUDS
from controlplane.core.admin import JsonField, ServiceForm
from controlplane.core.errors import ControlPlaneError
from controlplane.core.unstorable import UNSTORABLE
from jobs import services
from jobs.admin.forecasts import shown_forecast
from jobs.admin.policy_forms import PolicyField
from jobs.models import MAX_PRIORITY, Job, Priority, Shape
from jobs.policy import CAPACITIES, Policy
from jobs.services import ANYWHERE, JobRequest, MapReduceWish, check_place
from jobtypes.seed.documents import find_fault

# As the native surface has them.
MAX_VCPUS: Final = 10_000
MAX_MEMORY_MIB: Final = 16_384 * 1024
MAX_TIMEOUT_SECONDS: Final = 30 * 24 * 3600
MAX_TRIES: Final = 1000
MAX_TAGS_BYTES: Final = 64 * 1024
LEFT_OUT: Final = "…"  # what stands for a secret in a body that is shown
_CODE: Final = {"spellcheck": "false", "class": "cp-input cp-code"}


@dataclass(frozen=True)
class Made:
    """What was submitted, for people, and its page."""

    what: str
    url: str


class ShapeForm(ServiceForm):
    """A form of work that can be checked before it is submitted. `further` are the fields that few people need."""

    resource: ClassVar[str] = "jobs"  # where the API takes it
    further: tuple[str, ...] = ()

    customer = forms.CharField(max_length=255, help_text="Who pays: the customer's whole name.")

    def __init__(self, data: Any, *, actor: User, initial: Mapping[str, Any] | None = None) -> None:
        self.actor = actor
        super().__init__(data, initial=dict(initial or {}))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name, value in list(cleaned.items()):
            if isinstance(value, str) and UNSTORABLE.search(value):
                self.add_error(name, "This holds a NUL or half a surrogate pair.")
        return cleaned

    def body(self) -> dict[str, Any]:
        """What the API takes for it, once the form is valid; LEFT_OUT stands for each secret."""
        raise NotImplementedError

    def forecast(self) -> SafeString:
        """What it would come to; nothing is written. Raises what submitting would."""
        raise NotImplementedError

    def submit(self, earlier: Job | None) -> Made:
        """Submit it; `earlier` is the job that it was made from."""
        raise NotImplementedError

    def groups(self) -> tuple[list[Any], list[Any]]:
        """The fields that everybody fills in, and those that few need."""
        shown = list(self.visible_fields())
        return [each for each in shown if each.name not in self.further], [
            each for each in shown if each.name in self.further
        ]

    def opens_further(self) -> bool:
        """Is one of those that few need other than it begins, or at fault?"""
        return any(each.errors or (each.value() or "") != (each.field.initial or "") for each in self.groups()[1])


class JobForm(ShapeForm):
    """What there is to be said of a job of any shape."""

    further: tuple[str, ...] = ("tags", "priority", "queue", "max_tries", "timeout_seconds", "policy", "capacity")

    classification = forms.CharField(max_length=255, help_text="Your own name for this kind of job.")
    priority = forms.IntegerField(
        min_value=0, max_value=MAX_PRIORITY, required=False, help_text=f"Smaller runs first. Empty: {Priority.LOW}."
    )
    queue = forms.CharField(max_length=64, required=False, help_text="Empty: the priority chooses it.")
    max_tries = forms.IntegerField(
        min_value=1, max_value=MAX_TRIES, required=False, help_text="How many executions it may have, all in all."
    )
    tags = JsonField(
        rows=3, required=False, help_text='An object, such as {"project": "tour"}. Jobs are found by them.'
    )

    def clean_tags(self) -> dict[str, Any]:
        tags = self.cleaned_data["tags"]
        if tags is None:
            return {}
        if not isinstance(tags, dict):
            raise forms.ValidationError("This must be an object.")
        if fault := find_fault(tags, max_bytes=MAX_TAGS_BYTES):
            raise forms.ValidationError(f"{fault}.")
        return tags

    def request(self) -> JobRequest | MapReduceWish:
        """What was asked for, once the form is valid. Raises what the services have against it."""
        raise NotImplementedError

    def forecast(self) -> SafeString:
        return shown_forecast(services.dry_run(self.actor, [self.job_request()])[0])

    def job_request(self) -> JobRequest:
        """The request as a job of the queue."""
        request = self.request()
        return request if isinstance(request, JobRequest) else services.mapreduce_request(self.actor, request)

    def submit(self, earlier: Job | None) -> Made:
        request = self.request()
        if earlier is not None:
            pk = services.submit_again(earlier, actor=self.actor, request=request)
        elif isinstance(request, JobRequest):
            pk = services.submit_jobs(owner=self.actor, requests=[request])[0].id
        else:
            pk = services.submit_mapreduce(owner=self.actor, wish=request).pk
        return Made(f"job {pk}", reverse("admin:jobs_job_change", args=[pk]))

    def said(self) -> dict[str, Any]:
        """The members of the body that jobs of every shape have."""
        names = ("customer", "classification", "tags", "priority", "queue", "max_tries")
        return {name: self.cleaned_data.get(name) for name in names}


class PlacedForm(JobForm):
    """A job that says where it runs, and what it needs there."""

    cloud = forms.ChoiceField(choices=[(cloud, cloud) for cloud in CLOUDS], initial="local")
    region = forms.CharField(max_length=64, required=False, help_text="Empty: this deployment's own, of cloud local.")
    vcpus = forms.DecimalField(
        min_value=Decimal("0.001"), max_value=MAX_VCPUS, decimal_places=3, required=False, label="vCPUs",
        help_text="Such as 0.5. Empty: as this deployment has it.",
    )  # fmt: skip
    memory_mib = forms.IntegerField(
        min_value=1, max_value=MAX_MEMORY_MIB, required=False, label="Memory, MiB",
        help_text="Empty: as this deployment has it.",
    )  # fmt: skip
    timeout_seconds = forms.IntegerField(
        min_value=1, max_value=MAX_TIMEOUT_SECONDS, required=False,
        help_text="An execution that runs longer is stopped. Empty: none is.",
    )  # fmt: skip

    def vcpus_milli(self) -> int | None:
        vcpus = self.cleaned_data["vcpus"]
        return int(vcpus * 1000) if vcpus else None

    def said(self) -> dict[str, Any]:
        wish = self.cleaned_data
        needs = {name: wish[name] for name in ("memory_mib", "timeout_seconds")}
        return {**super().said(), "vcpus": float(wish["vcpus"]) if wish["vcpus"] else None, **needs}


class ProgramForm(PlacedForm):
    """A job that is run as it is asked for: as a container, or as a whole machine."""

    shape: ClassVar[str]

    cloud = forms.ChoiceField(
        choices=[(cloud, cloud) for cloud in (*CLOUDS, ANYWHERE)], initial="local",
        help_text="any: where there is room, and then where it costs least.",
    )  # fmt: skip
    capacity = forms.ChoiceField(
        choices=[("", "as the place has it"), *((each, each) for each in CAPACITIES)], required=False,
        help_text="The kind of machine, where a cloud has several.",
    )  # fmt: skip
    env = forms.CharField(
        max_length=200_000, required=False, strip=False, label="Environment",
        widget=forms.Textarea(attrs={"rows": 3, **_CODE}), help_text="NAME=value, one in a line.",
    )  # fmt: skip
    secret_env = forms.CharField(
        max_length=200_000, required=False, strip=False, label="Secret environment",
        widget=forms.Textarea(attrs={"rows": 2, **_CODE}),
        help_text="NAME=value, one in a line. Nobody gets to see these values again.",
    )  # fmt: skip
    policy = PolicyField()

    def clean_env(self) -> dict[str, str]:
        return _variables(self.cleaned_data["env"])

    def clean_secret_env(self) -> dict[str, str]:
        found = _variables(self.cleaned_data["secret_env"])
        if empty := next((name for name, value in found.items() if not value), None):
            raise forms.ValidationError(f"{empty} has no value: type it, or take the line away.")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        twice = cleaned.get("env", {}).keys() & cleaned.get("secret_env", {}).keys()
        if twice:
            self.add_error("secret_env", f"{min(twice)} is among the variables that are not secret, too.")
        if "cloud" in cleaned:
            self._check_place(cleaned)
        return cleaned

    def _check_place(self, wish: dict[str, Any]) -> None:
        cloud, policy = wish["cloud"], wish.get("policy")
        if policy is not None and policy.places:
            return
        if cloud == ANYWHERE:
            for name in ("region", "capacity"):
                if wish.get(name):
                    self.add_error(name, "This does not go with any cloud.")
            return
        if cloud != "local" and not wish.get("region"):
            self.add_error("region", "This field is required.")
        try:
            check_place(
                cloud,
                queue=wish.get("queue") or None,
                command=wish.get("command") or "command" in self.errors,
                region=wish.get("region") or settings.LOCAL_REGION,
                capacity=wish.get("capacity", "") if cloud == "local" or wish.get("region") else "",
                whole=self.shape == Shape.INSTANCE,
            )
        except ControlPlaneError as error:
            self.refuse(error)

    def request(self) -> JobRequest:
        wish = self.cleaned_data
        priority = wish["priority"]
        return JobRequest(
            customer=wish["customer"],
            cloud=wish["cloud"],
            region=wish["region"] or settings.LOCAL_REGION,
            classification=wish["classification"],
            env={**wish["env"], **wish["secret_env"]},
            secret_env=list(wish["secret_env"]),
            capacity=wish["capacity"],
            policy=wish["policy"],
            tags=wish["tags"],
            vcpus_milli=self.vcpus_milli(),
            memory_mib=wish["memory_mib"],
            priority=Priority.LOW if priority is None else priority,
            queue=wish.get("queue", ""),
            timeout_seconds=wish["timeout_seconds"],
            max_tries=wish["max_tries"],
            **self.program(),
        )

    def program(self) -> dict[str, Any]:
        """The fields of the request that say what runs."""
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        wish = self.cleaned_data
        policy: Policy | None = wish["policy"]
        program = self.program()
        if program.get("user_data"):
            program["user_data"] = LEFT_OUT
        environment = {**wish["env"], **dict.fromkeys(wish["secret_env"], LEFT_OUT)}
        return stated(
            {
                "shape": self.shape,
                **self.said(),
                **self._where(policy),
                **program,
                "env": environment,
                "secret_env": list(wish["secret_env"]),
                "policy": policy.document() if policy else None,
            }
        )

    def _where(self, policy: Policy | None) -> dict[str, Any]:
        """Of the body; the places of a policy say it all."""
        wish = self.cleaned_data
        if policy is not None and policy.places:
            return {}
        if wish["cloud"] == ANYWHERE:
            return {"cloud": ANYWHERE}
        return {name: wish[name] for name in ("cloud", "region", "capacity")}


class ContainerForm(ProgramForm):
    """A container job."""

    shape = Shape.CONTAINER
    field_order = (
        *("customer", "classification", "image", "command", "env", "secret_env", "cloud", "region", "vcpus"),
        *("memory_mib", "timeout_seconds", "max_tries", "priority", "queue", "capacity", "tags", "policy"),
    )

    image = forms.CharField(
        max_length=1024, required=False, help_text="Such as busybox:1.36. Cloud local runs the command without one."
    )
    command = forms.CharField(
        max_length=100_000, required=False, widget=forms.Textarea(attrs={"rows": 3, **_CODE}),
        help_text="As in a shell, which takes no part in it: words with spaces in quotes.",
    )  # fmt: skip

    def clean_command(self) -> list[str]:
        try:
            return shlex.split(unix(self.cleaned_data["command"]))
        except ValueError as error:
            raise forms.ValidationError("A quote is not closed.") from error

    def program(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("image", "command")}


class InstanceForm(ProgramForm):
    """A whole machine of a cloud."""

    shape = Shape.INSTANCE
    queue = None  # type: ignore[assignment] # Django's way to leave a field of the base out
    field_order = (
        *("customer", "classification", "machine_image", "user_data", "env", "secret_env", "cloud", "region"),
        *("vcpus", "memory_mib", "timeout_seconds", "max_tries", "priority", "capacity", "tags", "policy"),
    )

    cloud = forms.ChoiceField(
        choices=[(cloud, cloud) for cloud in (*CLOUDS, ANYWHERE) if cloud != "local"], initial="aws",
        help_text="any: where there is room, and then where it costs least.",
    )  # fmt: skip
    machine_image = forms.CharField(max_length=255, help_text="The cloud's own name for it, such as ami-….")
    user_data = forms.CharField(
        max_length=12 * 1024, required=False, strip=False, widget=forms.Textarea(attrs={"rows": 4, **_CODE}),
        help_text="What it boots with. Nobody gets to see it again.",
    )  # fmt: skip

    def program(self) -> dict[str, Any]:
        wish = self.cleaned_data
        given = {"machine_image": wish["machine_image"], "user_data": unix(wish["user_data"])}
        return {**given, "command": []}


def stated(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of a body says anything."""
    return {name: value for name, value in body.items() if value is not None and value not in ("", [], {})}


def unix(text: str) -> str:
    """Browsers end lines in their own way, whatever was typed."""
    return text.replace("\r\n", "\n")


def _variables(text: str) -> dict[str, str]:
    """NAME=value, one in a line."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    if any(not name.strip() or not sign for name, sign, _ in pairs):
        raise forms.ValidationError("Each line is NAME=value.")
    return {name.strip(): value for name, _, value in pairs}
