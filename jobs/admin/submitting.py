"""The page that submits a job: it can be asked first where it would run and at what cost."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.models import Source
from clusters.queries import CLOUDS, CURRENCY
from controlplane.core.admin import ServiceForm, badge, facts, table
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import Finding, posted
from controlplane.core.unstorable import UNSTORABLE
from jobs import queries, services
from jobs.admin.policy_forms import PolicyField
from jobs.admin.policy_story import places
from jobs.models import MAX_PRIORITY, Priority
from jobs.policy import CAPACITIES, Policy, Rung
from jobs.services import ANYWHERE, Forecast, JobRequest, check_place

# As the native surface has them.
MAX_VCPUS: Final = 10_000
MAX_MEMORY_MIB: Final = 16_384 * 1024
MAX_TIMEOUT_SECONDS: Final = 30 * 24 * 3600
MAX_TRIES: Final = 1000
_CODE: Final = {"spellcheck": "false", "class": "cp-input cp-code"}


class SubmitForm(ServiceForm):
    """A container job, or with a machine image an instance job. What is empty has its default."""

    customer = forms.CharField(max_length=255, help_text="Who pays: the customer's whole name.")
    classification = forms.CharField(max_length=255, help_text="Your own name for this kind of job.")
    cloud = forms.ChoiceField(
        choices=[(cloud, cloud) for cloud in (*CLOUDS, ANYWHERE)], initial="local",
        help_text="any: where there is room, and then where it costs least.",
    )  # fmt: skip
    region = forms.CharField(max_length=64, required=False, help_text="Empty: this deployment's own, of cloud local.")
    capacity = forms.ChoiceField(
        choices=[("", "as the place has it"), *((each, each) for each in CAPACITIES)], required=False,
        help_text="The kind of machine, where a cloud has several.",
    )  # fmt: skip
    image = forms.CharField(max_length=1024, required=False)
    command = forms.CharField(
        max_length=100_000, required=False, widget=forms.Textarea(attrs={"rows": 3, **_CODE}),
        help_text="As in a shell, which takes no part in it: words with spaces in quotes.",
    )  # fmt: skip
    env = forms.CharField(
        max_length=200_000, required=False, strip=False, label="Environment",
        widget=forms.Textarea(attrs={"rows": 3, **_CODE}), help_text="NAME=value, one in a line.",
    )  # fmt: skip
    machine_image = forms.CharField(max_length=255, required=False, help_text="Of an instance job, on aws.")
    user_data = forms.CharField(
        max_length=12 * 1024, required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3, **_CODE}),
        help_text="What an instance job boots with. Nobody gets to see it again.",
    )  # fmt: skip
    vcpus = forms.DecimalField(
        min_value=Decimal("0.001"), max_value=MAX_VCPUS, decimal_places=3, required=False, label="vCPUs"
    )
    memory_mib = forms.IntegerField(min_value=1, max_value=MAX_MEMORY_MIB, required=False, label="Memory, MiB")
    priority = forms.IntegerField(
        min_value=0, max_value=MAX_PRIORITY, required=False, help_text="Smaller runs first. Empty: 100."
    )
    queue = forms.CharField(max_length=64, required=False)
    timeout_seconds = forms.IntegerField(min_value=1, max_value=MAX_TIMEOUT_SECONDS, required=False)
    max_tries = forms.IntegerField(min_value=1, max_value=MAX_TRIES, required=False)
    policy = PolicyField()

    def clean_command(self) -> list[str]:
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError as error:
            raise forms.ValidationError("A quote is not closed.") from error

    def clean_env(self) -> dict[str, str]:
        pairs = [line.partition("=") for line in self.cleaned_data["env"].splitlines() if line.strip()]
        if any(not name.strip() or not sign for name, sign, _ in pairs):
            raise forms.ValidationError("Each line is NAME=value.")
        return {name.strip(): value for name, _, value in pairs}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name, value in cleaned.items():
            if isinstance(value, str) and UNSTORABLE.search(value):
                self.add_error(name, "This holds a NUL or half a surrogate pair.")
        if "cloud" in cleaned:
            self._check_place(cleaned)
        return cleaned

    def _check_place(self, wish: dict[str, Any]) -> None:
        cloud, is_instance = wish["cloud"], bool(wish.get("machine_image"))
        policy: Policy | None = wish.get("policy")
        for name in ("image", "command", "queue") if is_instance else ("user_data",):
            if wish.get(name):
                self.add_error(name, f"This does not go with {'an instance' if is_instance else 'a container'} job.")
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
                command=wish.get("command"),
                region=wish.get("region") or settings.LOCAL_REGION,
                capacity=wish.get("capacity", "") if cloud == "local" or wish.get("region") else "",
                whole=is_instance,
            )
        except ControlPlaneError as error:
            self.refuse(error)

    def job_request(self) -> JobRequest:
        """The job that was asked for, once the form is valid."""
        wish = self.cleaned_data
        vcpus, priority = wish["vcpus"], wish["priority"]
        return JobRequest(
            customer=wish["customer"],
            cloud=wish["cloud"],
            region=wish["region"] or settings.LOCAL_REGION,
            classification=wish["classification"],
            image=wish["image"],
            command=wish["command"],
            env=wish["env"],
            machine_image=wish["machine_image"],
            capacity=wish["capacity"],
            policy=wish["policy"],
            user_data=wish["user_data"],
            vcpus_milli=int(vcpus * 1000) if vcpus else None,
            memory_mib=wish["memory_mib"],
            priority=Priority.LOW if priority is None else priority,
            queue=wish["queue"],
            timeout_seconds=wish["timeout_seconds"],
            max_tries=wish["max_tries"],
        )


@dataclass(frozen=True)
class DryRun:
    """A forecast, as the page of a form shows what was asked."""

    details: SafeString
    errors: Sequence[Finding] = ()
    warnings: Sequence[Finding] = field(default_factory=tuple)


class SubmittingAdmin(KeysetAdmin):
    """The page "Submit a job", for who holds Django's permission to add jobs."""

    add_form = SubmitForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.add_job"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, more = SubmitForm(posted(request)), dict[str, Any]()
        if request.method == "POST" and form.is_valid():
            actor: Any = request.user  # the admin lets nobody else in
            try:
                if "check" in request.POST:
                    more["verdict"] = DryRun(shown_forecast(services.dry_run(actor, [form.job_request()])[0]))
                else:
                    made = services.submit_jobs(owner=actor, requests=[form.job_request()])[0]
                    self.message_user(request, f"Submitted: job {made.id}.", messages.SUCCESS)
                    return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[made.id]))
            except ControlPlaneError as error:
                form.refuse(error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Submit a job",
            "warning": "Check says, before anything is submitted, where it would run and what it will cost.",
            "form": form,
            "back": reverse("admin:jobs_job_changelist"),
            "button": "Submit",
            "checks": True,
            **more,
        }
        return TemplateResponse(request, "admin/service_page.html", context)


def shown_forecast(row: Forecast) -> SafeString:
    """Where a job would run, what it would wait for, and what it will cost."""
    waits = table(("It would wait: reason", "What frees it"), [(each.code, each.hint) for each in row.waits_for])
    about = facts(
        [
            ("Place", str(Rung(row.cloud, row.region, row.capacity))),
            ("Why there", queries.why_here(row.policy, 0) if row.policy else ""),
            ("Size", f"{row.vcpus_milli / 1000:g} vCPUs, {row.memory_mib} MiB"),
            (
                "Offer",
                f"{row.rate.offer} ({row.rate.capacity})" if row.rate else "none is large enough and has a price",
            ),
            ("Rate", f"{row.rate.per_hour:f} {CURRENCY} per hour" if row.rate else ""),
            ("Price", _word(row)),
            ("Half of the jobs like it cost at most", _money(row.p50)),
            ("Nine in ten cost at most", _money(row.p90)),
            ("From", f"{row.history.jobs} jobs that completed" if row.history else "no job like it has completed yet"),
        ]
    )
    ladder = places(row.policy, 0) if row.policy and row.policy.places else ""
    return format_html("{}{}{}", about, waits if row.waits_for else "", ladder)


def _word(row: Forecast) -> SafeString | str:
    if row.rate is None:
        return ""
    return badge("EXAMPLE, no quote", "waiting") if row.rate.is_example else Source(row.rate.source).label


def _money(amount: Any) -> str:
    return "" if amount is None else f"{amount:f} {CURRENCY}"
