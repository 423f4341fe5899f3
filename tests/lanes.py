"""Which tests run one after the other, in one process, when several share the run.

xdist's own marker for that, xdist_group, writes into node ids where pytest 9.2 does not look any more; and where a test
stands says it as well.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

# By how the node ids of their tests begin, and what is in them.
LANES: Final = (
    # Many processes each, and bounds on how long they may take.
    ("kill", ("tests/kill/", "tests/controlplane/test_supervisor.py", "tests/jobs/test_crashes.py"), ""),
    # Each starts something in its process that takes seconds, once.
    ("storage", ("tests/controlplane/storage/",), ""),
    # All tests of each have one deployment together.
    ("submitting", ("tests/jobs/test_submitting_in_a_browser.py",), ""),
    ("tasks", ("tests/controlplane/test_tasks_in_a_browser.py",), ""),
    ("people", ("tests/accounts/test_browser_people.py",), ""),
    # They read every source.
    ("shape", ("tests/controlplane/test_shape.py",), ""),
    ("drawings", ("tests/jobtypes/recipe/test_drawing.py",), ""),
    ("dockerd", ("tests/clusters/test_docker_provider.py",), "[dockerd"),
    ("hosting-dockerd", ("tests/clusters/test_docker_hosting.py",), "[dockerd"),
    ("hosting-podman", ("tests/clusters/test_docker_hosting.py",), "[podman"),
    ("aws", ("tests/clusters/aws/test_provider",), ""),
    ("aws-containers", ("tests/clusters/aws/test_hosting.py",), ""),
    ("aws-terraform", ("tests/clusters/aws/test_terraform.py",), ""),
    ("aws-machines", ("tests/clusters/aws/test_machines.py",), ""),
    ("podman", ("tests/clusters/test_docker_provider.py",), "[podman"),
    ("jobs-dockerd", ("tests/jobs/test_docker_end_to_end.py",), "[dockerd"),
    ("jobs-podman", ("tests/jobs/test_docker_end_to_end.py",), "[podman"),
    ("localstripe", ("tests/billing/test_localstripe.py",), ""),
    ("prometheus", ("tests/clusters/telemetry/test_prometheus.py",), ""),
    ("azure", ("tests/clusters/azure/test_azure_cloud.py",), ""),
)


def lane_of(node_id: str) -> str:
    """The lane of a test; its own id if it has none."""
    found = (lane for lane, begins, part in LANES if node_id.startswith(begins) and part in node_id)
    return next(found, node_id)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # of a library without types
    """Tests as processes become free, those of a lane together. The lanes with the most tests begin."""

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(nodeid)
