"""How a proxy is told where containers are."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from clusters import services
from clusters.models import Container
from tests.clusters.stage import Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, settle
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def printed(*more: str) -> str:
    out = io.StringIO()
    call_command("proxy_map", *more, stdout=out)
    return out.getvalue()


def test_clients_are_led_to_what_runs_and_takes_more() -> None:
    user = make_customer_user().user
    cluster = make_cluster(user)
    make_container(cluster, routing_key="Room-1")
    drained = make_container(cluster, routing_key="full")
    settle(keeper_of(Stage()))
    make_container(cluster, routing_key="late")
    services.drain_container(container=Container.objects.get(pk=drained.pk), actor=None, is_draining=True)
    text, name = printed("--port", "8081"), cluster.uuid.hex
    assert f"upstream fleet_{name} {{\n    server 127.0.0.1:40001;\n}}" in text
    assert f'"~^{name}/$" fleet_{name};' in text
    assert f'"~^{name}/Room-1$" 127.0.0.1:40001;' in text
    assert "full" not in text
    assert "late" not in text
    assert "listen 8081;" in text
    assert text.count("{") == text.count("}")


def test_without_containers_nobody_is_led_anywhere() -> None:
    text = printed()
    assert "upstream" not in text
    assert 'default "";' in text


def test_it_costs_the_same_for_any_number() -> None:
    cluster = make_cluster(make_customer_user().user)
    costs = []
    for count in (1, 3):
        for _ in range(count):
            make_container(cluster)
        settle(keeper_of(Stage()))
        with counted() as found:
            printed()
        costs.append(len(found))
    assert costs == [1, 1]
