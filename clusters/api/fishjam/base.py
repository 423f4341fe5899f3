"""What Fishjam's operations on clusters share: whose rows they are about, how ids are read, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.api.fishjam import base
from accounts.api.fishjam.base import BadPath, BadQuery, read_uuid
from accounts.models import User
from clusters import queries
from clusters.errors import ClusterNotFound, ContainerNotFound, ContainerState
from clusters.models import Cluster, Container
from controlplane.core.errors import InvalidRequest

CLUSTER_ID: Final = OpenApiParameter("cluster_uuid_hex", str, "path", description="With or without dashes.")
INSTANCE_ID: Final = OpenApiParameter("jellyfish_uuid_hex", str, "path", description="With or without dashes.")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class Operation(base.Operation):
    """Base of the operations on clusters and instances. What their state does not allow is a 400 here."""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        return failure


def failure(exc: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """What is said of an error, whoever raised it."""
    return base.failure(InvalidRequest(exc.message) if isinstance(exc, ContainerState) else exc, context)


def own_cluster(user: User, text: str) -> Cluster:
    """Their cluster with this id. Raises ClusterNotFound, also for what is no id."""
    key = read_id(text)
    found = queries.own_clusters(user).filter(uuid=key).first() if key else None
    if found is None:
        raise ClusterNotFound
    return found


def own_container(user: User, text: str) -> Container:
    """Their container with this id, also a dropped one. Raises ContainerNotFound, also for what is no id."""
    key = read_id(text)
    found = queries.own_containers(user).filter(uuid=key).first() if key else None
    if found is None:
        raise ContainerNotFound
    return found


def read_id(text: str) -> uuid.UUID | None:
    """An id, with or without dashes, in either case; None for what is none."""
    try:
        return read_uuid(text, "id")
    except BadPath:
        return None


def read_flag(request: Request, name: str) -> bool:
    """A flag of the query; false when it is not there. Raises BadQuery."""
    found = _FLAGS.get(request.query_params.get(name, "false").lower())
    if found is None:
        raise BadQuery(name, "This is true or false.")
    return found
