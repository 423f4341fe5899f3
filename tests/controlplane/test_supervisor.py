"""`manage.py work`: one per machine, gone when told, and its clusters whole or replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.deployment import Factory
from tests.environment import CHECKOUT
from tests.kill.anatomy import PULSE, WORK, Anatomy, lives, wait_for

pytestmark = [
    pytest.mark.group("kill"),
    pytest.mark.runs_once("postgresql", "processes are kept alive by their beats; tests/kill has both"),
]
ENQUEUE = """
from django.db import transaction
from django_q.models import OrmQ
from controlplane.core.enqueue import enqueue
with transaction.atomic():
    enqueue("jobs.tasks.answer_canary")
    print(OrmQ.objects.latest("id").pk)
"""
UP_SECONDS = 40
STOP_SECONDS = 30


@pytest.fixture(scope="module")
def deployment() -> Iterator[Factory]:
    factory = Factory()
    yield factory
    factory.stop()


@pytest.fixture(scope="module")
def shared(deployment: Factory) -> Anatomy:
    return Anatomy(deployment(LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1"))


@pytest.fixture
def anatomy(shared: Anatomy) -> Iterator[Anatomy]:
    """`manage.py work`, with both of its clusters up and a first sign of life from each.

    It is the last test's, if that has not ended it: a start takes far longer than what is looked at here.
    """
    if shared.supervisor() is None:
        forget_signs_of_life(shared)
        shared.start_work()
    wait_for(lambda: shared.whole(PULSE) and shared.whole(WORK), UP_SECONDS, "that both clusters are up")
    wait_for(lambda: has_scheduled(shared), UP_SECONDS, "that the place is scheduled")
    yield shared
    for process in shared.living():
        process.resume()


def has_scheduled(anatomy: Anatomy) -> bool:
    return bool(anatomy.place.rows("SELECT 1 FROM jobs_place WHERE seen_at IS NOT NULL"))


def forget_signs_of_life(anatomy: Anatomy) -> None:
    """So that the next ones are new."""
    anatomy.place.rows("UPDATE jobs_place SET seen_at = NULL")


def work_is_replaced(anatomy: Anatomy, old: list[psutil.Process], cluster: str) -> bool:
    return bool(anatomy.whole(cluster)) and not any(map(lives, old))


def test_a_second_one_refuses_and_names_the_first(anatomy: Anatomy) -> None:
    assert anatomy.work is not None
    second = subprocess.run(
        [sys.executable, "manage.py", "work"],
        cwd=CHECKOUT, env=anatomy.place.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"as process {anatomy.work.pid}." in second.stderr
    assert anatomy.work.poll() is None


@pytest.mark.parametrize("cluster", [PULSE, WORK])
def test_a_killed_worker_takes_its_cluster_along_and_another_comes(anatomy: Anatomy, cluster: str) -> None:
    """Those of `work` are idle, and one of the idle ones holds the lock of the queue."""
    old = anatomy.whole(cluster)
    forget_signs_of_life(anatomy)
    for worker in anatomy.workers(cluster):
        worker.kill()
    wait_for(lambda: work_is_replaced(anatomy, old, cluster), UP_SECONDS, "that another cluster is up")
    wait_for(lambda: has_scheduled(anatomy), UP_SECONDS, "that the place is scheduled")
    task = int(anatomy.place.run_manage("shell", "-v", "0", "-c", ENQUEUE))
    wait_for(lambda: not is_there(anatomy, task), UP_SECONDS, "that new tasks are done")


def is_there(anatomy: Anatomy, task: int) -> bool:
    return bool(anatomy.place.rows("SELECT 1 FROM django_q_ormq WHERE id = %s", [task]))


def test_a_frozen_cluster_is_replaced(anatomy: Anatomy) -> None:
    old = anatomy.whole(PULSE)
    [worker] = anatomy.workers(PULSE)
    worker.suspend()
    forget_signs_of_life(anatomy)
    wait_for(lambda: work_is_replaced(anatomy, old, PULSE), UP_SECONDS, "that another cluster is up")
    wait_for(lambda: has_scheduled(anatomy), UP_SECONDS, "that the place is scheduled")


def test_its_clusters_die_with_it(anatomy: Anatomy) -> None:
    clusters = [*anatomy.whole(PULSE), *anatomy.whole(WORK)]
    supervisor = anatomy.supervisor()
    assert supervisor is not None
    supervisor.kill()
    wait_for(lambda: not any(map(lives, clusters)), STOP_SECONDS, "that all of both clusters are gone")
    # Nothing stands in the way of the next one.
    forget_signs_of_life(anatomy)
    anatomy.start_work()
    wait_for(lambda: has_scheduled(anatomy), UP_SECONDS, "that the place is scheduled")


def test_it_stops_within_a_bound_and_leaves_nothing(anatomy: Anatomy) -> None:
    assert anatomy.work is not None
    anatomy.work.send_signal(signal.SIGTERM)
    assert anatomy.work.wait(STOP_SECONDS) == 0
    wait_for(lambda: not anatomy.living(), STOP_SECONDS, "that nothing is left")


@pytest.mark.parametrize("which", [0, 1])
def test_it_stops_within_a_bound_when_a_worker_was_just_killed(anatomy: Anatomy, which: int) -> None:
    """One of the idle ones holds the lock of the queue, and what is left of its cluster would wait for it for ever."""
    assert anatomy.work is not None
    anatomy.workers(WORK)[which].kill()
    anatomy.work.send_signal(signal.SIGTERM)
    assert anatomy.work.wait(STOP_SECONDS) == 0
    wait_for(lambda: not anatomy.living(), STOP_SECONDS, "that nothing is left")


# The first hook runs in a child that has just been forked, before it can have asked to die with its parent.
FORKED_WHILE_ITS_PARENT_DIES = """
import os, signal, sys, time
from controlplane.processes import whole_tree_dies_with_parent
def lose_parent():
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.001)
os.register_at_fork(after_in_child=lose_parent)
whole_tree_dies_with_parent(os.getppid())
if os.fork():
    time.sleep(60)
print("lives on", flush=True)
"""


def test_what_is_forked_while_its_parent_dies_ends_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED_WHILE_ITS_PARENT_DIES], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )  # returns when the last holder of the pipe has gone
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
