"""What clusters refuse."""

from __future__ import annotations

from controlplane.core.errors import Conflict, ControlPlaneError, Forbidden, InvalidRequest, NotFound, Unavailable


class PriceListUnreadable(InvalidRequest):
    """This is not a price list that can be read."""

    code = "PRICE_LIST_UNREADABLE"


class ClusterNotFound(NotFound):
    """There is no such cluster, or it is not yours."""

    code = "CLUSTER_NOT_FOUND"


class ContainerNotFound(NotFound):
    """There is no such container, or it is not yours."""

    code = "CONTAINER_NOT_FOUND"


class ImageVersionNotFound(NotFound):
    """There is no such image version."""

    code = "IMAGE_VERSION_NOT_FOUND"


class RolloutNotFound(NotFound):
    """There is no such rollout, or it is not yours."""

    code = "ROLLOUT_NOT_FOUND"


class UnknownImageVersion(InvalidRequest):
    """There is no such image version, or it is not for you."""

    code = "UNKNOWN_IMAGE_VERSION"


class ImageVersionExists(Conflict):
    """There is an image version of that name already."""

    code = "IMAGE_VERSION_EXISTS"


class NotOffered(InvalidRequest):
    """This machine type is not offered at this location."""

    code = "NOT_OFFERED"


class ClusterNameTaken(Conflict):
    """You have a cluster of that name already."""

    code = "CLUSTER_NAME_TAKEN"


class ClusterTokenTaken(Conflict):
    """Another cluster has this token."""

    code = "CLUSTER_TOKEN_TAKEN"


class RoutingKeyTaken(Conflict):
    """Another container of the cluster has this routing key."""

    code = "ROUTING_KEY_TAKEN"


class InstanceLimitReached(Forbidden):
    """You have as many containers as you may."""

    code = "INSTANCE_LIMIT_REACHED"


class FreeTierUsedUp(Forbidden):
    """What is free this month is used up, and there are no payment details."""

    code = "FREE_TIER_USED_UP"


class ContainerState(Conflict):
    """The present state of the container does not allow this."""

    code = "CONTAINER_STATE"


class ClusterInUse(ContainerState):
    """The cluster still has active containers."""

    code = "CLUSTER_IN_USE"


class RolloutState(Conflict):
    """The present state of the rollout does not allow this."""

    code = "ROLLOUT_STATE"


class MetricsUnavailable(Unavailable):
    """Prometheus is not available."""

    code = "METRICS_UNAVAILABLE"


class MetricsUnreadable(ControlPlaneError):
    """Prometheus gave an answer that cannot be read."""

    code = "METRICS_UNREADABLE"


class LogsUnavailable(Unavailable):
    """The log store is not available."""

    code = "LOGS_UNAVAILABLE"


class ScopeNotOwned(Forbidden):
    """One of these ids is not yours."""

    code = "SCOPE_NOT_OWNED"


class UnknownMetric(NotFound):
    """There is no such metric."""

    code = "UNKNOWN_METRIC"


class RecordingsNotAllowed(Forbidden):
    """Recordings are not among what your account may use."""

    code = "RECORDINGS_NOT_ALLOWED"


class RecordingSettingsNotFound(NotFound):
    """The cluster has no settings for recordings."""

    code = "RECORDING_SETTINGS_NOT_FOUND"


class RecordingsUnusable(InvalidRequest):
    """Recordings cannot be written with these settings."""

    code = "RECORDINGS_UNUSABLE"


class RecordingsUntried(Unavailable):
    """AWS cannot be asked just now, so the settings could not be tried."""

    code = "RECORDINGS_UNTRIED"


class PriceNotFound(NotFound):
    """There is no such price."""

    code = "PRICE_NOT_FOUND"
