"""A tour with the Python client that openapi-python-client has made from the schema; prints what it saw.

    python tests/schema/client_tour.py BASE_URL USERNAME PASSWORD

Run by test_python_client.py, with the folder of the made package on the path.
"""

from __future__ import annotations

import sys
import time

from control_plane_client import AuthenticatedClient, Client
from control_plane_client.api.native import (
    cancel_jobs,
    create_job,
    explain_job,
    get_job,
    get_operation,
    hold_job,
    list_jobs,
    obtain_token,
    update_scheduler,
)
from control_plane_client.models import (
    CancelJobsRequest,
    CredentialsRequest,
    HintRequest,
    JobDetail,
    ListJobsStatusItem,
    NativeError,
    NewJobRequest,
    PatchedSchedulerRequest,
)


def main(base: str, username: str, password: str) -> None:
    issued = obtain_token.sync(client=Client(base), body=CredentialsRequest(username, password))
    client = AuthenticatedClient(base, token=issued.token)
    print("logged in")
    # So that nothing has run before it is held and cancelled.
    paused = update_scheduler.sync(client=client, body=PatchedSchedulerRequest(is_paused=True))
    print(f"paused: {paused.is_paused}")

    wanted = NewJobRequest(customer="acme", classification="tour", command=["echo", "hello"], memory_mib=64)
    job = create_job.sync(client=client, body=wanted)
    assert isinstance(job, JobDetail), job
    print(f"submitted: {job.classification} of {job.customer}, {job.status}")
    many = create_job.sync(client=client, body=[wanted] * 3)
    print(f"submitted {len(many)} more")

    held = hold_job.sync(str(job.id), client=client, body=HintRequest(hint="until the tour is over"))
    print(f"held: {held.on_hold}")
    why = explain_job.sync(str(job.id), client=client)
    print(f"explained: {sorted(reason.code for reason in why.reasons)}")
    shown = get_job.sync(str(job.uuid), client=client)
    print(f"shown: {shown.id == job.id}")
    page = list_jobs.sync(client=client, customer=["acme"], status=[ListJobsStatusItem.QUEUED])
    print(f"listed: {page.count}")

    operation = cancel_jobs.sync(client=client, body=CancelJobsRequest(customer="acme"))
    deadline = time.monotonic() + 60
    while operation.status not in ("COMPLETED", "FAILED") and time.monotonic() < deadline:
        time.sleep(0.2)
        operation = get_operation.sync(str(operation.id), client=client)
    print(f"cancelled: {operation.status}, {operation.done} of {operation.total}")

    refused = get_job.sync("1234567890", client=client)
    assert isinstance(refused, NativeError), refused
    print(f"refused: {refused.code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
