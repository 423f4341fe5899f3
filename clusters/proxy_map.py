"""The configuration of nginx that leads clients to the containers that run just now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from clusters import states
from clusters.models import Placement

_HEAD: Final = """\
# Made by `manage.py proxy_map`; include it in nginx's http block.
map $http_upgrade $fleet_connection {
    default upgrade;
    "" close;
}
map $http_x_routing_key $fleet_key {
    default $http_x_routing_key;
    "" $arg_routing_key;
}
"""
_SERVER: Final = """\
server {
    listen %d;
    location ~ "^/api/v1/connect/(?<fleet_cluster>[0-9a-f]{32})(?<fleet_path>/.*)$" {
        if ($fleet_server = "") {
            return 503;
        }
        proxy_pass http://$fleet_server$fleet_path$is_args$args;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $fleet_connection;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_read_timeout 1h;
    }
}
"""


class Lead(NamedTuple):
    """Where a container is reached by clients; `cluster` is its uuid's 32 digits."""

    cluster: str
    routing_key: str
    server: str


def leads() -> list[Lead]:
    """Of each container that runs, is not draining and listens somewhere. In one statement."""
    rows = Placement.objects.select_related("container__cluster", "container__image_version").filter(
        status__in=states.THERE,
        container__status=states.RUNNING,
        container__archived_at=None,
        container__is_draining=False,
    )
    newest = {each.container_id: each for each in rows.exclude(host="").order_by("pk")}
    found = []
    for each in newest.values():
        tcp = [port["number"] for port in each.container.image_version.ports if port.get("protocol", "tcp") == "tcp"]
        if tcp:
            host = f"[{each.host}]" if ":" in each.host else each.host
            server = f"{host}:{each.ports.get(str(tcp[0]), tcp[0])}"
            found.append(Lead(each.container.cluster.uuid.hex, each.container.routing_key, server))
    return sorted(found)


def nginx(found: Iterable[Lead], port: int) -> str:
    """The configuration as text. A routing key chooses a container, without one any of the cluster serves."""
    by_cluster = [(name, list(group)) for name, group in groupby(found, key=lambda lead: lead.cluster)]
    return "\n".join([_HEAD, *_upstreams(by_cluster), *_choice(by_cluster), _SERVER % port])


def _upstreams(by_cluster: Iterable[tuple[str, list[Lead]]]) -> Iterator[str]:
    for name, group in by_cluster:
        yield "\n".join([f"upstream fleet_{name} {{", *(f"    server {each.server};" for each in group), "}"])


def _choice(by_cluster: Iterable[tuple[str, list[Lead]]]) -> Iterator[str]:
    # Plain strings of a map are compared without regard to case, which routing keys have.
    lines = ['map "$fleet_cluster/$fleet_key" $fleet_server {', '    default "";']
    for name, group in by_cluster:
        lines.append(f'    "~^{name}/$" fleet_{name};')
        lines += [f'    "~^{name}/{each.routing_key}$" {each.server};' for each in group]
    yield "\n".join([*lines, "}", ""])
