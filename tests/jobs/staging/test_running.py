"""A Seed job from its submit to its output, step by step, with a provider that does as it is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from clusters.providers.base import End, Mount, Volume
from controlplane.core.encryption import encrypt
from controlplane.core.errors import Forbidden, InvalidRequest
from jobs import carrying, scheduling, services, staging, states
from jobs.models import Execution, File
from jobtypes.models import JobType, SecretSetting
from tests.factories import make_customer_user, make_job_type, make_operator
from tests.seeds import Scene, write_output

pytestmark = pytest.mark.django_db
ERRORS = [{"code": 3, "name": "no-text", "title": "No text", "description": "", "category": "data"}]


@pytest.fixture
def scene(tmp_path: Path, settings: Any) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    settings.LOCAL_ROOT = tmp_path / "local"
    settings.LOCAL_MOUNT_ROOTS = [str(tmp_path / "shown")]
    return Scene(tmp_path / "workspace")


# --- All goes well -------------------------------------------------------------------------------


def test_a_job_finds_its_input_and_its_output_is_kept(scene: Scene) -> None:
    job_type = scene.job_type()
    job = scene.submit(job_type)
    assert (job.shape, job.status, job.classification, job.max_tries) == ("seed", states.QUEUED, "count-words", 3)
    assert (job.vcpus_milli, job.memory_mib, job.timeout_seconds, job.input_bytes) == (500, 256, 60, 7)
    room = scene.start(job)
    assert job.status == states.RUNNING
    text = room.input / "TEXT" / "a.txt"
    assert text.read_text() == "one two"
    assert json.loads(room.metadata.read_text())["TEXT"][0]["file_name"] == "a.txt"
    write_output(room)
    (room.output / "counts.txt.metadata.json").write_text(
        json.dumps({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"a": 1}})
    )
    (room.output / "TEXT.metadata.json").write_text(
        json.dumps({"type": "Feature", "geometry": None, "properties": {"sourceSensor": "eye"}})
    )
    scene.end(job)
    assert (job.status, job.reason, job.error) == (states.COMPLETED, "", None)
    (product,) = File.objects.filter(job=job)
    assert job.output == {"files": {"COUNTS": [product.pk]}, "json": {"total": 2}}
    assert (product.name, product.media_type, product.size, product.file_type) == (
        "counts.txt", "text/plain", 6, "PRODUCT",
    )  # fmt: skip
    assert (product.customer_id, product.owner_id, product.job_output) == (job.customer_id, job.owner_id, "COUNTS")
    assert (product.geometry, product.meta_data) == ({"type": "Point", "coordinates": [1, 2]}, {"a": 1})
    assert (scene.folder / product.path).read_text() == "two\t1\n"
    source = File.objects.get(name="a.txt")
    assert (source.source_sensor, source.meta_data) == ("eye", {"sourceSensor": "eye"})
    assert not room.path.exists()


def test_its_command_and_environment_follow_from_the_manifest(scene: Scene) -> None:
    job_type = scene.job_type(
        {"settings": {"MODE": "fast; rm -rf /"}},
        command="count -m ${MODE} ${TEXT} ${MISSING} '$MODE' > x",
        settings=[{"name": "MODE"}, {"name": "KEY", "secret": True}],
    )
    SecretSetting.objects.create(job_type=job_type, name="KEY", value=encrypt({"value": "sesame"}))
    job = scene.submit(job_type)
    room = scene.start(job)
    work = scene.stage.provider.works[str(scene.stage.execution(job).uuid)]
    text = str(room.input / "TEXT" / "a.txt")
    assert list(work.command) == ["count", "-m", "fast; rm -rf /", text, "$MODE", ">", "x"]
    assert work.env["OUTPUT_DIR"] == str(room.output)
    assert (work.env["TEXT"], work.env["KEY"], work.env["ALLOCATED_CPUS"]) == (text, "sesame", "0.500000")
    assert work.env["SCALE_JOB_ID"] == str(job.pk)
    assert (work.image, work.image_entrypoint, work.timeout_seconds) == ("count:1", True, 60)
    assert Mount(str(room.input), str(room.input)) in work.mounts
    assert Mount(str(room.output), str(room.output), read_only=False) in work.mounts


def test_several_files_lie_in_one_folder_even_of_one_name(scene: Scene) -> None:
    inputs = {"files": [{"name": "TEXT", "multiple": True}, {"name": "MORE", "required": False}]}
    job_type = scene.job_type(inputs=inputs)
    first, second = scene.file(), scene.file("b.txt")
    File.objects.filter(pk=second.pk).update(name="a.txt")
    job = scene.submit(job_type, {"files": {"TEXT": [first.pk, second.pk]}})
    room = scene.start(job)
    assert sorted(os.listdir(room.input / "TEXT")) == sorted(["a.txt", f"{second.pk}.a.txt"])
    work = scene.stage.provider.works[str(scene.stage.execution(job).uuid)]
    assert work.env["TEXT"] == str(room.input / "TEXT")
    assert "MORE" not in work.env


def test_a_job_s_own_configuration_wins_member_by_member(scene: Scene) -> None:
    job_type = scene.job_type(
        {"settings": {"MODE": "fast"}, "priority": 70}, settings=[{"name": "MODE"}, {"name": "KEY", "secret": True}]
    )
    job = scene.submit(job_type, configuration={"settings": {"MODE": "slow", "KEY": "mine"}})
    assert (job.priority, job.secret_env) == (70, ["KEY"])
    assert job.configuration == {"settings": {"MODE": "slow"}}
    scene.start(job)
    work = scene.stage.provider.works[str(scene.stage.execution(job).uuid)]
    assert (work.env["MODE"], work.env["KEY"]) == ("slow", "mine")


def test_mounts_come_from_the_configuration(scene: Scene, tmp_path: Path) -> None:
    shown = tmp_path / "shown" / "models"
    shown.mkdir(parents=True)
    job_type = scene.job_type(
        {"mounts": {"MODELS": {"type": "host", "host_path": str(shown)}, "CACHE": {"type": "volume", "driver": "x"}}},
        mounts=[{"name": "MODELS", "path": "/models"}, {"name": "CACHE", "path": "/cache", "mode": "rw"}],
    )
    job = scene.submit(job_type)
    scene.start(job)
    work = scene.stage.provider.works[str(scene.stage.execution(job).uuid)]
    assert Mount(str(shown), "/models") in work.mounts
    assert list(work.volumes) == [Volume("/cache", "x", {}, read_only=False)]


# --- It fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "error", "category"),
    [
        ({"exit_code": 3}, "no-text", "DATA"),
        ({"exit_code": 9}, "algorithm-unknown", "ALGORITHM"),
        ({"exit_code": None, "end": End.TIMED_OUT}, "timeout", "ALGORITHM"),
    ],
)
def test_an_end_that_is_no_success_becomes_a_named_error(
    scene: Scene, outcome: dict[str, Any], error: str, category: str
) -> None:
    job = scene.submit(scene.job_type())
    scene.start(job)
    scene.end(job, **outcome)
    assert job.error is not None
    assert (job.status, job.error.name, job.error.category) == (states.FAILED, error, category)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ({"exit_code": None, "end": End.LOST}, "node-lost"),
        ({"exit_code": 127, "end": End.CANNOT_START}, "docker-task-launch"),
    ],
)
def test_a_failure_of_the_system_is_tried_again(scene: Scene, outcome: dict[str, Any], error: str) -> None:
    job = scene.submit(scene.job_type())
    scene.start(job)
    scene.end(job, **outcome)
    assert job.error is not None
    assert (job.status, job.error.name, job.tries) == (states.DELAYED, error, 1)


def _nothing(room: staging.Room) -> None:
    """It leaves nothing."""


def _wrong_type(room: staging.Room) -> None:
    write_output(room, total="two")


def _link(room: staging.Room) -> None:
    write_output(room)
    (room.output / "counts.txt").unlink()
    (room.output / "counts.txt").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("leave", "error"),
    [
        (_nothing, "missing-required-output"),
        (_wrong_type, "invalid-results-manifest"),
        (_link, "missing-required-output"),
    ],
)
def test_output_that_is_not_as_promised_fails_the_job(
    scene: Scene, leave: Callable[[staging.Room], None], error: str
) -> None:
    job = scene.submit(scene.job_type())
    leave(scene.start(job))
    scene.end(job)
    assert job.error is not None
    assert (job.status, job.error.name, job.output) == (states.FAILED, error, None)
    execution = scene.stage.execution(job)
    assert (execution.status, execution.exit_code) == (states.FAILED, 0)
    assert execution.detail
    assert not File.objects.filter(job=job).exists()


@pytest.mark.parametrize("host_path", ["shown/nothing", "/etc"])
def test_a_missing_mount_fails_the_job_before_it_starts(scene: Scene, tmp_path: Path, host_path: str) -> None:
    mounted = {"MODELS": {"type": "host", "host_path": str(tmp_path / host_path)}}
    job = scene.submit(scene.job_type({"mounts": mounted}, mounts=[{"name": "MODELS", "path": "/models"}]))
    assert scene.stage.claim() == 1
    assert scene.carry() == 1
    scheduling.hand_over(scene.stage.place.pk, scene.stage.provider)
    job.refresh_from_db()
    assert job.error is not None
    assert (job.status, job.error.name) == (states.FAILED, "missing-mount")


def test_input_that_is_gone_is_a_failure_of_the_system(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    (scene.folder / "a.txt").unlink()
    assert scene.stage.claim() == 1
    assert scene.carry() == 1
    job.refresh_from_db()
    assert job.error is not None
    assert (job.status, job.error.name) == (states.DELAYED, "filesystem-io")
    assert not list(staging.rooms())


# --- Canceling, restarts -------------------------------------------------------------------------


def test_nothing_is_handed_over_before_its_input_is_there(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    assert scene.stage.claim() == 1
    assert scheduling.hand_over(scene.stage.place.pk, scene.stage.provider) == 0
    assert scene.carry() == 1
    assert scheduling.hand_over(scene.stage.place.pk, scene.stage.provider) == 1
    assert scene.stage.execution(job).status == states.SUBMITTED


def test_a_job_canceled_while_its_input_is_brought_never_starts(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    scene.stage.claim()
    (execution,) = carrying.to_carry(scene.stage.place.pk, 10)
    services.cancel_jobs([job.pk], actor=None)
    scheduling.pass_on_cancels(scene.stage.place.pk, scene.stage.provider)
    scheduling.observe(scene.stage.place.pk, scene.stage.provider, scheduling.Watch({}))
    carrying.carry(execution)
    job.refresh_from_db()
    assert (job.status, Execution.objects.get().status) == (states.CANCELED, states.CANCELED)
    assert scheduling.hand_over(scene.stage.place.pk, scene.stage.provider) == 0


def test_what_a_dead_process_of_this_machine_carried_is_taken_over_at_once(scene: Scene, settings: Any) -> None:
    settings.RUN_DIR = scene.folder.parent / "run"
    scene.submit(scene.job_type())
    assert scene.stage.claim() == 1
    place = scene.stage.place.pk
    assert len(carrying.to_carry(place, 10)) == 1
    living = carrying.Carriers(place)
    assert len(carrying.to_carry(place, 10)) == 1, "nobody else lived, and yet the lease was kept"
    # While somebody lives, leases are theirs.
    carrying.Carriers(place)
    assert carrying.to_carry(place, 10) == []
    del living
    carrying.Carriers(place)
    assert len(carrying.to_carry(place, 10)) == 1


def test_a_job_is_carried_for_by_one_at_a_time_and_taken_over_when_the_lease_is_over(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    write_output(scene.start(job))
    scene.stage.end(job)
    assert (job.status, scene.stage.execution(job).status) == (states.RUNNING, states.FINISHING)
    (first,) = carrying.to_carry(scene.stage.place.pk, 10)
    assert carrying.to_carry(scene.stage.place.pk, 10) == []
    Execution.objects.update(leased_until=first.created_at)
    (second,) = carrying.to_carry(scene.stage.place.pk, 10)
    carrying.carry(second)
    carrying.carry(first)
    job.refresh_from_db()
    assert (job.status, File.objects.filter(job=job).count()) == (states.COMPLETED, 1)


def test_rooms_of_what_has_ended_are_removed(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    room = scene.start(job)
    carrying.clear_rooms()
    assert room.path.exists()
    scene.end(job, exit_code=3)
    carrying.clear_rooms()
    assert not room.path.exists()


# --- What is refused at submit -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "input.files.TEXT"),
        ({"files": {"TEXT": []}}, "input.files.TEXT"),
        ({"files": {"TEXT": [999_999]}}, "input.files.TEXT"),
        ({"files": "x"}, "input.files"),
    ],
)
def test_input_is_checked_against_the_interface(scene: Scene, given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        scene.submit(scene.job_type(), given)
    assert refused.value.field == field


def test_a_stranger_s_file_is_no_file(scene: Scene) -> None:
    theirs = scene.file("theirs.txt", owner=make_customer_user("stranger", "other"))
    with pytest.raises(InvalidRequest) as refused:
        scene.submit(scene.job_type(), {"files": {"TEXT": [theirs.pk]}})
    assert refused.value.field == "input.files.TEXT"


def test_only_staff_choose_mounts_for_a_job(scene: Scene) -> None:
    job_type, given = scene.job_type(), {"files": {"TEXT": [scene.file().pk]}}
    own = {"mounts": {"MODELS": {"type": "host", "host_path": "/etc"}}}
    with pytest.raises(Forbidden):
        scene.submit(job_type, given, configuration=own)
    job = scene.submit(job_type, given, user=make_operator(), configuration=own)
    assert job.customer.name == django_settings.DEFAULT_CUSTOMER


def test_a_paused_type_waits_and_a_capped_one_starves_nobody(scene: Scene) -> None:
    capped, other = make_job_type("capped", max_scheduled=1), make_job_type("other")
    configuration = {"output_workspaces": {"default": "results"}}
    given = {"files": {"TEXT": [scene.file().pk]}}
    jobs = [scene.submit(capped, given, configuration=configuration) for _ in range(3)]
    free = scene.submit(other, given, configuration=configuration)
    assert scene.stage.claim() == 2
    free.refresh_from_db()
    assert free.status == states.STARTING
    jobs[1].refresh_from_db()
    assert jobs[1].status == states.QUEUED
    JobType.objects.filter(pk=other.pk).update(is_paused=True, paused_at=free.submitted_at)
    paused = scene.submit(other, given, configuration=configuration)
    assert scene.stage.claim() == 0
    JobType.objects.filter(pk=other.pk).update(is_paused=False, paused_at=None)
    assert scene.stage.claim() == 1
    paused.refresh_from_db()
    assert paused.status == states.STARTING
