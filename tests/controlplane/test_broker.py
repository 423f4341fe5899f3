from __future__ import annotations

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from controlplane.core.broker import Broker
from controlplane.core.enqueue import bell, enqueue


@pytest.mark.django_db
def test_a_task_goes_to_the_queue_that_the_table_names() -> None:
    enqueue("jobs.tasks.sweep")
    (row,) = OrmQ.objects.all()
    assert row.key == settings.TASKS["jobs.tasks.sweep"] == "work"
    assert SignedPackage.loads(row.payload)["func"] == "jobs.tasks.sweep"


@pytest.mark.django_db
def test_a_function_that_is_not_in_the_table_cannot_be_enqueued() -> None:
    with pytest.raises(KeyError):
        enqueue("os.system")


@pytest.mark.django_db
def test_a_task_that_is_not_in_the_table_is_deleted_not_run() -> None:
    async_task("os.system", "true", cluster="work")
    enqueue("jobs.tasks.sweep")
    broker = Broker("work")
    taken = [broker._take(), broker._take()]
    assert [SignedPackage.loads(rows[0][1])["func"] for rows in taken if rows] == ["jobs.tasks.sweep"]
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db
def test_tasks_come_in_their_order_and_each_once() -> None:
    enqueue("jobs.tasks.sweep")
    enqueue("jobs.tasks.apply_retention")
    broker = Broker("work")
    names = [SignedPackage.loads(broker._take()[0][1])["func"] for _ in range(2)]
    assert names == ["jobs.tasks.sweep", "jobs.tasks.apply_retention"]
    assert broker._take() == []


@pytest.mark.django_db
def test_a_tampered_task_is_deleted() -> None:
    OrmQ.objects.create(key="work", payload=bell("jobs.tasks.sweep")[:-3] + "xyz", lock=timezone.now())
    assert Broker("work")._take() == []
    assert OrmQ.objects.count() == 0


@pytest.mark.django_db
def test_a_task_of_a_transaction_that_fails_never_was() -> None:
    with transaction.atomic():
        enqueue("jobs.tasks.sweep")
        transaction.set_rollback(True)
    assert OrmQ.objects.count() == 0
