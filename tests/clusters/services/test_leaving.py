"""Closing an account has its clusters go."""

from __future__ import annotations

import pytest

from accounts.services import close_account
from clusters import services, states
from clusters.models import Cluster, Container
from tests.clusters.stage import Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, settle

pytestmark = pytest.mark.django_db


def test_what_stands_of_somebody_who_left_goes_and_nothing_of_others() -> None:
    services.follow_closings()  # it begins at the end of the log
    stage = Stage()
    leaving, staying = make_customer_user().user, make_customer_user().user
    rows = [make_container(make_cluster(each, name=each.username)) for each in (leaving, staying)]
    settle(keeper_of(stage))
    assert len(stage.actors) == 2
    close_account(user=leaving)
    services.follow_closings()
    settle(keeper_of(stage))
    statuses = dict(Container.objects.values_list("pk", "status"))
    assert statuses == {rows[0].pk: states.DELETED, rows[1].pk: states.RUNNING}
    assert [actor.service.env["CONTAINER_UUID"] for actor in stage.actors.values()] == [str(rows[1].uuid)]
    assert list(Cluster.objects.filter(archived_at=None).values_list("owner", flat=True)) == [staying.pk]
