"""Every write of clusters."""

from clusters.providers.hosting import Service
from clusters.services.aws_prices import read_aws
from clusters.services.azure_prices import Sizes, read_azure, read_sizes
from clusters.services.clusters import (
    archive_cluster,
    change_cluster,
    facts_of_cluster,
    make_cluster,
    scale_cluster,
    token_of,
)
from clusters.services.containers import (
    change_container,
    drain_container,
    drop_container,
    facts_of_container,
    make_container,
    start_container,
    stop_container,
)
from clusters.services.fleet_places import edit_location, facts_of_location
from clusters.services.image_versions import add_image_version, edit_image_version, facts_of_image_version
from clusters.services.kept import (
    forget_standing,
    kept_at,
    note,
    note_asked,
    note_asking,
    note_found,
    note_refusal,
    note_retired,
    wishes_of,
)
from clusters.services.leaving import follow_closings
from clusters.services.peers import count_peers
from clusters.services.peers import note_metered as note_metered_peers
from clusters.services.prices import (
    Imported,
    ListedPrice,
    facts_of_offer,
    facts_of_price,
    import_prices,
    set_fleet_price,
    set_price,
)
from clusters.services.recordings import demand_recordings, set_recording_settings, try_recording_settings
from clusters.services.rollouts import advance_rollouts, pause_rollout, resume_rollout, roll_back, start_rollout

__all__ = [
    "Imported",
    "ListedPrice",
    "Service",
    "Sizes",
    "add_image_version",
    "advance_rollouts",
    "archive_cluster",
    "change_cluster",
    "change_container",
    "count_peers",
    "demand_recordings",
    "drain_container",
    "drop_container",
    "edit_image_version",
    "edit_location",
    "facts_of_cluster",
    "facts_of_container",
    "facts_of_image_version",
    "facts_of_location",
    "facts_of_offer",
    "facts_of_price",
    "follow_closings",
    "forget_standing",
    "import_prices",
    "kept_at",
    "make_cluster",
    "make_container",
    "note",
    "note_asked",
    "note_asking",
    "note_found",
    "note_metered_peers",
    "note_refusal",
    "note_retired",
    "pause_rollout",
    "read_aws",
    "read_azure",
    "read_sizes",
    "resume_rollout",
    "roll_back",
    "scale_cluster",
    "set_fleet_price",
    "set_price",
    "set_recording_settings",
    "start_container",
    "start_rollout",
    "stop_container",
    "token_of",
    "try_recording_settings",
    "wishes_of",
]
