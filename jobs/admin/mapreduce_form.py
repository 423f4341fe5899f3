"""The form of a MapReduce job."""

from __future__ import annotations

import shlex
from typing import Any, Final

from django import forms
from django.conf import settings

from accounts import access
from accounts.models import User
from jobs import services
from jobs.admin.shape_forms import LEFT_OUT, PlacedForm, stated
from jobs.errors import ArtifactNotFound
from jobs.mapreduce.locations import LONGEST
from jobs.models import ArtifactVersion, Job, Priority, Protocol
from jobs.queries.artifacts import find_artifact, find_version
from jobs.queries.mapreduce import spec_of
from jobs.services import MapReduceWish
from jobs.services.artifacts import NAME_LENGTH
from jobs.services.mapreduce import MAX_REDUCERS, SIDES
from jobs.services.places import place_id

ROLES: Final = ("mapper", "reducer", "combiner")
MAX_PARALLEL: Final = 100_000
_VERSION: Final[dict[str, Any]] = {
    "min_value": 1, "max_value": 2**31 - 1, "required": False, "help_text": "Empty: the newest.",
}  # fmt: skip
_WORDS: Final[dict[str, Any]] = {"max_length": 100_000, "required": False, "help_text": "As in a shell."}
_HIDDEN: Final[dict[str, Any]] = {
    "max_length": 1024, "required": False, "strip": False,
    "widget": forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
}  # fmt: skip


class MapReduceForm(PlacedForm):
    """Programs that are artifacts, over the objects of a store."""

    further = (
        *PlacedForm.further,
        *(f"{role}_{what}" for role in ROLES for what in ("version", "arguments")),
        *("combiner", "protocol", "split_bytes", "max_parallel", "classification"),
        *(f"{side}_{what}" for side in SIDES for what in ("username", "password")),
    )
    field_order = (
        *("customer", "programs_of", "mapper", "reducer", "input", "output", "reducers", "cloud", "region"),
        *("vcpus", "memory_mib"),
    )

    classification = forms.CharField(max_length=255, required=False, help_text="Empty: mapreduce.")
    programs_of = forms.CharField(
        max_length=255, required=False, label="Programs of",
        help_text="The customer whose artifacts the programs are, by its whole name. Empty: the staff's.",
    )  # fmt: skip
    mapper = forms.CharField(max_length=NAME_LENGTH, help_text="The name of an artifact.")
    mapper_version = forms.IntegerField(**_VERSION)
    mapper_arguments = forms.CharField(**_WORDS)
    reducer = forms.CharField(max_length=NAME_LENGTH, help_text="The name of an artifact.")
    reducer_version = forms.IntegerField(**_VERSION)
    reducer_arguments = forms.CharField(**_WORDS)
    combiner = forms.CharField(
        max_length=NAME_LENGTH, required=False, help_text="Of the streaming protocol only. Empty: none."
    )
    combiner_version = forms.IntegerField(**_VERSION)
    combiner_arguments = forms.CharField(**_WORDS)
    protocol = forms.ChoiceField(
        choices=[("", "as the programs say"), *Protocol.choices], required=False,
        help_text="How the programs are called. It has to be said where they are of different ones.",
    )  # fmt: skip
    input = forms.CharField(
        max_length=1000 * LONGEST, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Locations, one in a line: s3://bucket/key, https://endpoint/bucket/key or file:///folder/file. "
        "One that ends with / is all below it.",
    )  # fmt: skip
    output = forms.CharField(
        max_length=LONGEST, help_text="A bucket, and a prefix or none: s3://bucket/prefix; or file:///folder."
    )
    reducers = forms.IntegerField(min_value=1, max_value=MAX_REDUCERS, initial=1, help_text="How many reduce tasks.")
    split_bytes = forms.IntegerField(
        min_value=1, max_value=2**53, required=False,
        help_text="About so many bytes for a map task. Empty: as this deployment has it.",
    )  # fmt: skip
    max_parallel = forms.IntegerField(
        min_value=1, max_value=MAX_PARALLEL, required=False, help_text="Most tasks at a time. Empty: no bound."
    )
    input_username = forms.CharField(max_length=1024, required=False, help_text="For the store of the input.")
    input_password = forms.CharField(**_HIDDEN, help_text="Kept until the job has ended; nobody gets to see it.")
    output_username = forms.CharField(max_length=1024, required=False, help_text="The same for the output.")
    output_password = forms.CharField(**_HIDDEN)

    def __init__(self, data: Any, *, actor: User, initial: Any = None) -> None:
        super().__init__(data, actor=actor, initial=initial)
        of_customer = self.fields["customer"]
        of_customer.required, of_customer.help_text = False, f"Who pays. Empty: {settings.DEFAULT_CUSTOMER}."
        needs = "Of each task. Empty: as this deployment has it."
        self.fields["vcpus"].help_text = self.fields["memory_mib"].help_text = needs

    def clean_input(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["input"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for role in ROLES:
            try:
                cleaned[f"{role}_arguments"] = shlex.split(cleaned.get(f"{role}_arguments") or "")
            except ValueError:
                self.add_error(f"{role}_arguments", "A quote is not closed.")
        self.programs = {role: found for role in ROLES if (found := self._program(cleaned, role))}
        said = {each.artifact.protocol for each in self.programs.values()}
        if len(said) > 1 and not cleaned.get("protocol"):
            self.add_error("protocol", "The programs are of different protocols; say which one is meant.")
        for side in SIDES:
            given = [bool(cleaned.get(f"{side}_{what}")) for what in ("username", "password")]
            if any(given) and not all(given):
                self.add_error(f"{side}_{'username' if given[1] else 'password'}", "Give both, or neither.")
        if cleaned.get("cloud", "local") != "local" and not cleaned.get("region"):
            self.add_error("region", "This field is required.")
        return cleaned

    def _program(self, wish: dict[str, Any], role: str) -> ArtifactVersion | None:
        name, customer = wish.get(role), wish.get("programs_of") or None
        if not name:
            return None
        try:
            artifact = find_artifact(self.actor, name, access.READ, customer=customer)
            found = find_version(artifact, wish.get(f"{role}_version") or artifact.version)
        except ArtifactNotFound as error:
            self.add_error(role, error.message)
            return None
        found.artifact = artifact
        return found

    def _protocol(self) -> str:
        return str(self.cleaned_data["protocol"] or self.programs["mapper"].artifact.protocol)

    def _credentials(self) -> dict[str, dict[str, str]]:
        wish = self.cleaned_data
        pairs = {side: {what: wish[f"{side}_{what}"] for what in ("username", "password")} for side in SIDES}
        return {side: pair for side, pair in pairs.items() if pair["username"]}

    def request(self) -> MapReduceWish:
        wish = self.cleaned_data
        region = wish["region"] or settings.LOCAL_REGION
        services.check_place(wish["cloud"], queue=wish["queue"] or None, command=True)
        place_id(wish["cloud"], region)
        priority = wish["priority"]
        return MapReduceWish(
            mapper=self.programs["mapper"],
            reducer=self.programs["reducer"],
            combiner=self.programs.get("combiner"),
            arguments={role: words for role in self.programs if (words := wish[f"{role}_arguments"])},
            protocol=self._protocol(),
            inputs=wish["input"],
            output=wish["output"],
            reducers=wish["reducers"],
            split_bytes=wish["split_bytes"],
            max_parallel=wish["max_parallel"],
            credentials=self._credentials(),
            customer=wish["customer"],
            cloud=wish["cloud"],
            region=region,
            classification=wish["classification"],
            tags=wish["tags"],
            vcpus_milli=self.vcpus_milli(),
            memory_mib=wish["memory_mib"],
            priority=Priority.LOW if priority is None else priority,
            queue=wish["queue"],
            timeout_seconds=wish["timeout_seconds"],
            max_tries=wish["max_tries"],
        )

    def body(self) -> dict[str, Any]:
        wish = self.cleaned_data
        programs = {role: self._asked(role) for role in self.programs}
        credentials = {
            f"{side}_credentials": {**pair, "password": LEFT_OUT} for side, pair in self._credentials().items()
        }
        names = ("protocol", "input", "output", "reducers", "split_bytes", "max_parallel")
        members = stated({**programs, **{name: wish[name] for name in names}, **credentials})
        where = {name: wish[name] for name in ("cloud", "region")}
        return stated({"mapreduce": members, **self.said(), **where})

    def _asked(self, role: str) -> dict[str, Any]:
        wish = self.cleaned_data
        asked = {"name": wish[role], "version": self.programs[role].number, "arguments": wish[f"{role}_arguments"]}
        return stated({**asked, "customer": wish["programs_of"]})


def initial_mapreduce(job: Job) -> dict[str, Any]:
    """What the form begins with to ask for such a job again, beside what jobs of every shape have."""
    spec = spec_of(job)
    found: dict[str, Any] = {
        "protocol": spec.protocol,
        "input": "\n".join(spec.inputs),
        "output": spec.output,
        "reducers": spec.reducers,
        "split_bytes": spec.split_bytes,
        "max_parallel": spec.max_parallel,
    }
    for role in ROLES:
        version: ArtifactVersion | None = getattr(spec, role)
        if version is not None:
            found |= {role: version.artifact.name, f"{role}_version": version.number}
            found[f"{role}_arguments"] = shlex.join(spec.arguments.get(role, []))
    owner = spec.mapper.artifact.customer
    return {**found, "programs_of": owner.name if owner else ""}
