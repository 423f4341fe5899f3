"""What the OpenAPI schema calls the choices that more than one field has. Plain Python: settings read it."""

from __future__ import annotations

from typing import Any, Final

ENUM_NAMES: Final[dict[str, Any]] = {
    "RoleEnum": "accounts.models.Role",
    "FeatureEnum": "accounts.models.Feature",
    "TokenScopeEnum": "accounts.models.TokenScope",
    "WebhookFormEnum": "accounts.models.Form",
    "DeliveryStatusEnum": "accounts.models.DeliveryStatus",
    "EventKindEnum": "accounts.event_kinds.KIND_CHOICES",
    "SubjectKindEnum": "accounts.event_kinds.SUBJECT_CHOICES",
    "FeedbackTypeEnum": "accounts.models.FeedbackType",
    "LimitRequestStatusEnum": "accounts.models.LimitRequestStatus",
    "CloudEnum": "clusters.queries.CLOUDS",
    "LocalCloudEnum": [("local", "local")],
    "MachineTypeEnum": "clusters.locations.MACHINE_TYPES",
    "MachineLocationEnum": "clusters.locations.LOCATIONS",
    "InstanceStatusEnum": "clusters.api.fishjam.serializers.SHOWN_STATES",
    "JobStatusEnum": "jobs.states.SHOWN_STATES",
    "JobStateEnum": "jobs.states.JOB_STATES",
    "ExecutionStatusEnum": "jobs.states.SHOWN_EXECUTION_STATES",
    "ExecutionStateEnum": "jobs.states.EXECUTION_STATES",
    "OperationStatusEnum": "jobs.states.OPERATION_STATES",
    "OperationKindEnum": "jobs.models.Kind",
    "MapsorStatusEnum": "jobs.api.mapsor.serializers.STATUSES",
    "ShapeEnum": "jobs.models.Shape",
    "RunsForEnum": "jobs.models.RunsFor",
    "ErrorCategoryEnum": "jobtypes.models.Category",
    "HoldScopeEnum": "jobs.models.Scope",
    "CapacityEnum": "clusters.models.Capacity",
    "WantedCapacityEnum": "jobs.policy.CAPACITIES",
    "WantedCloudEnum": [(cloud, cloud) for cloud in ("aws", "azure", "local", "any")],
    "PriceSourceEnum": "clusters.models.Source",
    "CurrencyEnum": [("USD", "USD")],
    "QuotaScopeEnum": "jobs.models.engine.CAPPED_SCOPES",
}
