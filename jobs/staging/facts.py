"""What a Seed job runs by: its revision's manifest, and the configuration that holds for it."""

from __future__ import annotations

from controlplane.core.encryption import SecretUnreadable, decrypt
from controlplane.core.remembered import Remembered
from jobs.models import Job
from jobtypes.models import Error, JobTypeRevision, SecretSetting
from jobtypes.seed.configuration import Configuration, merged, read_configuration
from jobtypes.seed.manifest import Manifest, read_manifest
from jobtypes.seed.verdicts import Invalid


class StagingFault(Exception):
    """A job cannot run, or its output cannot be kept; `error_name` is that of a built-in error.

    `lost_maps`: the numbers of map tasks of whom nothing is left, that a reduce task cannot do without.
    """

    def __init__(self, error_name: str, detail: str, lost_maps: tuple[int, ...] = ()) -> None:
        self.error_name = error_name
        self.detail = detail
        self.lost_maps = lost_maps
        super().__init__(f"{error_name}: {detail}")


_manifests: Remembered[int, Manifest] = Remembered(limit=500)


def manifest_of(revision_id: int) -> Manifest:
    """The manifest of a revision, which is never edited."""
    known = _manifests.get(revision_id)
    if known is not None:
        return known
    document = JobTypeRevision.objects.values_list("manifest", flat=True).get(pk=revision_id)
    return _manifests.keep(revision_id, read_manifest(document))


def error_of_exit(revision_id: int, exit_code: int) -> Error | None:
    """The error that the manifest names for an exit code."""
    manifest = manifest_of(revision_id)
    name = next((error.name for error in manifest.errors if error.code == exit_code), None)
    return None if name is None else Error.objects.filter(job_type_name=manifest.name, name=name).first()


def configuration_of(job: Job) -> Configuration:
    """The configuration that holds for a job now, its job type loaded; without secrets."""
    assert job.job_type is not None
    try:
        return read_configuration(merged(job.job_type.configuration, job.configuration))
    except Invalid as fault:
        raise StagingFault("missing-setting", f"Its configuration is not valid: {fault.finding.description}") from fault


def settings_of(job: Job, configuration: Configuration) -> dict[str, str]:
    """The value of each setting, secrets among them; those given for the job itself win."""
    try:
        secrets = SecretSetting.objects.filter(job_type=job.job_type_id).values_list("name", "value")
        kept = {name: decrypt(value)["value"] for name, value in secrets}
        return {**kept, **configuration.settings, **decrypt(job.env)}
    except SecretUnreadable as error:
        raise StagingFault("missing-setting", error.message) from error
