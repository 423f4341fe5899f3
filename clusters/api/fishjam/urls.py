from django.urls import path

from clusters.api.fishjam import choice_views as choices
from clusters.api.fishjam import cluster_views as clusters
from clusters.api.fishjam import container_views as containers
from clusters.api.fishjam import recording_views as recordings
from clusters.api.fishjam import telemetry_views as telemetry

urlpatterns = [
    path("api/v1/healthcheck", choices.Healthcheck.as_view(), name="fishjam-healthcheck"),
    path("api/v1/jellyfish", containers.Instances.as_view(), name="fishjam-instances"),
    path("api/v1/jellyfish/versions", choices.Versions.as_view(), name="fishjam-versions"),
    path("api/v1/jellyfish/count", containers.InstanceCount.as_view(), name="fishjam-instance-count"),
    path("api/v1/jellyfish/<str:jellyfish_uuid_hex>", containers.OneInstance.as_view(), name="fishjam-instance"),
    path("api/v1/machines/locations", choices.MachineLocations.as_view(), name="fishjam-machine-locations"),
    path("api/v1/clusters", clusters.Clusters.as_view(), name="fishjam-clusters"),
    path("api/v1/clusters/<str:cluster_uuid_hex>", clusters.OneCluster.as_view(), name="fishjam-cluster"),
    path("api/v1/metrics/instant", telemetry.InstantQuery.as_view(), name="fishjam-instant-query"),
    path("api/v1/metrics/range", telemetry.RangeQuery.as_view(), name="fishjam-range-query"),
    path("api/v1/logs", telemetry.Logs.as_view(), name="fishjam-logs"),
    path("api/v1/recordings/settings", recordings.RecordingsOfCluster.as_view(), name="fishjam-recordings"),
    path("api/v1/recordings/settings/validate", recordings.Validation.as_view(), name="fishjam-validate-recordings"),
]
