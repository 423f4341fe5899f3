"""Clusters and containers for tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.models import User
from clusters import services
from clusters.keeping import Keeper
from clusters.models import Cluster, Container, HostingPlace, ImageVersion
from clusters.providers.hosting import Hosting

PORTS = [{"number": 5002, "protocol": "tcp"}]


def make_version(version: str = "1.0", **more: Any) -> ImageVersion:
    """An image version, made once: a server that listens on port 5002."""
    if (found := ImageVersion.objects.filter(version=version).first()) is not None:
        return found
    wishes = {"image": f"localhost/media:{version}", "command": ["media"], "ports": PORTS, **more}
    return services.add_image_version(actor=None, version=version, **wishes)


def make_cluster(owner: User, name: str = "media", version: str = "1.0", **more: Any) -> Cluster:
    make_version(version)
    return services.make_cluster(owner=owner, actor=owner, name=name, image_version=version, **more)


def make_container(cluster: Cluster, **more: Any) -> Container:
    return services.make_container(cluster=cluster, actor=cluster.owner, **more)


def keeper_of(hosting: Hosting, token: UUID = UUID(int=1)) -> Keeper:  # noqa: B008 # the same for each
    """A keeper of this machine, which takes over what one before it held."""
    place, _ = HostingPlace.objects.get_or_create(cloud=hosting.cloud, region=hosting.region)
    return Keeper(place, hosting, token)


def settle(keeper: Keeper, turns: int = 5) -> None:
    """Have it take so many turns, one after the other."""
    for _ in range(turns):
        keeper.turn()
