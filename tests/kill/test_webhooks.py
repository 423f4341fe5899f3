"""Webhooks under SIGKILL of their sender: all are delivered, and what comes twice comes under the same id."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from subprocess import run
from typing import Final

import psutil
import pytest

from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.kill.anatomy import Anatomy, wait_for
from tests.webhook_receiver import Running, running
from tests.webhooks import SECRET

EVENTS: Final = 300
SUBJECTS: Final = 30
KILLS: Final = 4
_MAKE: Final = """
import sys
from accounts.fan_out import fan_out
from accounts.models import Webhook
from accounts.queries import find_user
from controlplane.core.encryption import encrypt
fan_out()  # from here on
url, secret = sys.argv[1:]
facts = {"owner": find_user("root"), "secrets": encrypt({"signing": secret}), "kinds": ["job.moved"]}
for n in range(3):
    Webhook.objects.create(**facts, name=str(n), url=f"{url}/{n}")
"""
_HAPPEN: Final = """
import sys
from accounts import events
said = (None, None, {"status": "QUEUED"}, {"status": "STARTING"})
events.record([("job.moved", "job", n % int(sys.argv[2]), *said) for n in range(int(sys.argv[1]))])
"""


def python(place: Deployment, code: str, *arguments: object) -> None:
    command = [sys.executable, "-c", "import django; django.setup()\n" + code, *map(str, arguments)]
    run(command, cwd=CHECKOUT, env=place.env, check=True)


def senders(place: Deployment) -> list[psutil.Process]:
    """All processes of the cluster that sends."""
    found = []
    for process in place.processes():
        with suppress(psutil.Error):
            if "webhooks" in process.cmdline():
                found.append(process)
    return found


def kill_while_sending(place: Deployment, receiver: Running, seen: Callable[[], int]) -> None:
    """SIGKILL any of the sender's processes once more has been taken; `seen`: how much has."""
    before = seen()
    wait_for(lambda: seen() > before or seen() == 3 * EVENTS, 90, "that something is taken")
    living = senders(place)
    if living:
        with suppress(psutil.NoSuchProcess):
            random.choice(living).kill()


@pytest.mark.runs_once("postgresql", "what is killed here is the sender, whose statements are tried on both")
def test_each_is_delivered_and_what_comes_twice_has_the_same_id(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", CALLABLE_NETWORKS="127.0.0.0/8")
    place.bootstrap("root")
    with running(SECRET) as receiver:
        python(place, _MAKE, receiver.url, SECRET)
        Anatomy(place).start_work()
        python(place, _HAPPEN, EVENTS, SUBJECTS)
        for _ in range(KILLS):
            kill_while_sending(place, receiver, lambda: len(receiver.taken()))

        def all_ended() -> bool:
            left = place.rows("SELECT count(*) FROM accounts_webhookdelivery WHERE status <> 'DELIVERED'")
            made = place.rows("SELECT count(*) FROM accounts_webhookdelivery")
            return bool(left == [(0,)] and made == [(3 * EVENTS,)])

        wait_for(all_ended, 120, "that all are delivered")
        assert receiver.wrong() == 0
        taken = [(path, message_id) for path, message_id, _ in receiver.taken()]
    subjects = {f"evt_{p}": subject for p, subject in place.rows("SELECT position, subject_id FROM accounts_event")}
    assert len(set(taken)) == 3 * EVENTS
    # Whoever leaves out what comes again sees each subject in its order.
    for hook in range(3):
        first = list(dict.fromkeys(message_id for path, message_id in taken if path == f"/{hook}"))
        for subject in range(SUBJECTS):
            of_subject = [int(one.removeprefix("evt_")) for one in first if subjects[one] == subject]
            assert of_subject == sorted(of_subject)
            assert len(of_subject) == EVENTS // SUBJECTS
