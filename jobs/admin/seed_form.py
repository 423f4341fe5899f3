"""The form of a Seed job: its fields are those of a job type's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import User
from jobs import services
from jobs.admin.input_fields import InputForm, initial_input
from jobs.admin.job_type_forms import ConfigurationFields
from jobs.admin.policy_forms import PolicyField
from jobs.admin.shape_forms import LEFT_OUT, JobForm, stated
from jobs.models import Job
from jobs.services import JobRequest, SeedWish
from jobtypes.models import JobType
from jobtypes.seed.configuration import merged, read_configuration
from jobtypes.seed.manifest import Manifest, read_manifest


class SeedForm(InputForm, ConfigurationFields, JobForm):
    """A job of a job type. What it says of the configuration takes the place of the type's, member by member."""

    classification = forms.CharField(max_length=255, required=False, help_text="Empty: the job type's name.")
    region = forms.CharField(max_length=64, required=False, help_text="Of cloud local. Empty: this deployment's own.")
    policy = PolicyField()

    def __init__(self, data: Any, *, actor: User, job_type: JobType, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, actor=actor, initial=initial)
        self.job_type = job_type
        self.manifest = read_manifest(job_type.manifest)
        self.present = read_configuration(job_type.configuration).document()
        of_customer = self.fields["customer"]
        of_customer.required, of_customer.help_text = False, f"Who pays. Empty: {settings.DEFAULT_CUSTOMER}."
        self.fields["priority"].help_text = f"Smaller runs first. Empty: {self.present['priority']}, its job type's."
        self.fields["max_tries"].help_text = f"Empty: {job_type.max_tries}, its job type's."
        self.add_inputs(self.manifest)
        inputs = [name for name in self.fields if name.startswith("input.")]
        stored = frozenset(job_type.secret_settings.values_list("name", flat=True))
        self.add_configuration(self.manifest, self.present, stored)
        for field in self.fields.values():
            if isinstance(field.widget, forms.PasswordInput):
                field.widget.render_value = True  # a check is no reason to type it again
        own = [name for name in self.fields if name.startswith(("output:", "mount:", "setting:"))]
        self.order_fields([*inputs, "customer", *(name for name in own if name.startswith("setting:")), "region"])
        self.further = (*type(self).further, "classification", "default_workspace", *own_places(own))

    def wish(self) -> SeedWish:
        """What was asked for, once the form is valid."""
        wish = self.cleaned_data
        return SeedWish(
            job_type=self.job_type,
            input=self.input(),
            configuration=self.own_configuration(),
            customer=wish["customer"],
            region=wish["region"],
            classification=wish["classification"],
            tags=wish["tags"],
            priority=wish["priority"],
            queue=wish["queue"],
            max_tries=wish["max_tries"],
            policy=wish["policy"],
        )

    def own_configuration(self) -> dict[str, Any]:
        """The members that are other than the job type's."""
        return {name: value for name, value in self.configured().items() if value != self.present[name]}

    def request(self) -> JobRequest:
        wish = self.cleaned_data
        services.check_place("local", queue=wish["queue"] or None, command=True)
        return services.seed_requests(self.actor, [self.wish()])[0]

    def body(self) -> dict[str, Any]:
        wish = self.cleaned_data
        configuration = self.own_configuration()
        secret = {setting.name for setting in self.manifest.settings if setting.secret}
        if "settings" in configuration:
            shown = {name: LEFT_OUT if name in secret else value for name, value in configuration["settings"].items()}
            configuration = {**configuration, "settings": shown}
        policy = wish["policy"]
        region = "" if policy and policy.places else wish["region"]
        return stated(
            {
                "job_type": {"name": self.job_type.name, "version": self.job_type.version},
                "input": self.input(),
                "configuration": configuration,
                **self.said(),
                "region": region,
                "policy": policy.document() if policy else None,
            }
        )


def own_places(names: list[str]) -> list[str]:
    """Of the fields of a configuration those that few people change for one job."""
    return [name for name in names if not name.startswith("setting:")]


def initial_seed(job: Job, manifest: Manifest) -> dict[str, Any]:
    """What the form begins with to ask for such a job again, beside what jobs of every shape have."""
    assert job.job_type is not None
    found = initial_input(job.input, manifest)
    if job.configuration is None:
        return found
    own = read_configuration(merged(job.job_type.configuration, job.configuration)).document()
    outputs = own["output_workspaces"]
    found["default_workspace"] = outputs["default"]
    found |= {f"output:{output.name}": outputs["outputs"].get(output.name, "") for output in manifest.output_files}
    found |= {f"mount:{mount.name}": own["mounts"].get(mount.name) for mount in manifest.mounts}
    return found | {f"setting:{each.name}": own["settings"].get(each.name, "") for each in manifest.settings}
