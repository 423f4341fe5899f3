"""Examples of answers and bodies, for the OpenAPI schema and the browsable API's forms; a test holds them to it."""

from __future__ import annotations

from typing import Any, Final

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"
_LATER: Final = "2026-03-01T12:00:04.500000Z"

NEW_JOB: Final[dict[str, Any]] = {
    "customer": "acme",
    "classification": "nightly",
    "command": ["sh", "-c", "echo hello"],
    "vcpus": 0.5,
    "memory_mib": 256,
    "tags": {"project": "tour"},
}
EXECUTION: Final[dict[str, Any]] = {
    "id": 31,
    "uuid": "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c02",
    "job": {"id": 23},
    "exe_num": 1,
    "status": "COMPLETED",
    "state": "COMPLETED",
    "node": {"hostname": "machine-1"},
    "exit_code": 0,
    "detail": "",
    "capacity": None,
    "error": None,
    "logs_kept": True,
    **dict.fromkeys(("job_type", "timeout", "input_file_size")),
    "cluster_id": "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c02",
    "created": _MOMENT,
    "started": _MOMENT,
    "ended": _LATER,
}
EXECUTION_DETAIL: Final[dict[str, Any]] = {
    **EXECUTION,
    "resources": {"resources": {"cpus": 0.5, "mem": 256, "disk": 0, "gpus": 0}},
    "configuration": None,
    "output": None,
    "price": {
        "currency": "USD",
        "rate_per_hour": "0.0480000000",
        "amount": "0.0000566667",
        "offer": "vcpu + gb",
        "source": "staff",
    },
}
_ABSENT: Final = (
    *("job_type", "job_type_rev", "event", "ingest_event", "recipe", "batch", "superseded_job", "node", "superseded"),
    *("input_file_size", "source_started", "source_ended", "source_sensor_class", "source_sensor"),
    *("source_collection", "source_task", "parent", "part"),
)
JOB: Final[dict[str, Any]] = {
    "id": 23,
    "uuid": "01957e0c-8d10-7aa4-9f27-d0a1c58f6b11",
    "shape": "container",
    "status": "COMPLETED",
    "state": "COMPLETED",
    "reason": "",
    "customer": "acme",
    "owner": "ada",
    "classification": "nightly",
    "cloud": "local",
    "region": "local",
    "capacity": None,
    "image": "busybox",
    "machine_image": "",
    "command": ["sh", "-c", "echo hello"],
    "tags": {"project": "tour"},
    "vcpus": 0.5,
    "memory_mib": 256,
    "priority": 100,
    "queue": "default",
    "on_hold": False,
    "timeout_seconds": 60,
    "max_tries": 3,
    "num_exes": 1,
    "error": None,
    "retry_of": None,
    "created": _MOMENT,
    "queued": _MOMENT,
    "started": _MOMENT,
    "ended": _LATER,
    "last_status_change": _LATER,
    "last_modified": _LATER,
    **dict.fromkeys(_ABSENT),
    "is_superseded": False,
    "input_files": {},
}
POLICY: Final[dict[str, Any]] = {
    "places": [
        {"cloud": "aws", "region": "eu-central-1", "capacity": "spot", "wait_seconds": 600},
        {"cloud": "aws", "region": "eu-central-1", "capacity": "on-demand"},
    ],
    "tries": {"SYSTEM": 5, "ALGORITHM": 2},
    "backoff_seconds": 10,
    "max_backoff_seconds": 300,
    "max_cost": "2.50",
}
JOB_TYPE_POLICY: Final[dict[str, Any]] = {
    **POLICY,
    "places": [{"capacity": None, "wait_seconds": None, "chosen": None, "cloud": "local", "region": "machine-1"}],
    "set_by": "mary",
    "since": _MOMENT,
}
NEW_SEED_JOB: Final[dict[str, Any]] = {
    "job_type": {"name": "text-statistics", "version": "1.0.0"},
    "input": {"files": {"TEXT": [7]}, "json": {"LONGEST": 5}},
    "configuration": {"priority": 50},
}
NEW_MAPREDUCE_JOB: Final[dict[str, Any]] = {
    "mapreduce": {
        "mapper": {"name": "words.py", "arguments": ["--lower"]},
        "reducer": {"name": "sum.py"},
        "combiner": {"name": "sum.py"},
        "protocol": "streaming",
        "input": ["https://minio.example.com/texts/2026/"],
        "output": "https://minio.example.com/counts",
        "reducers": 4,
        "input_credentials": {"username": "reader", "password": "a secret key"},
        "output_credentials": {"username": "writer", "password": "a secret key"},
    },
    "classification": "word-count",
    "memory_mib": 512,
}
JOB_DETAIL: Final[dict[str, Any]] = {
    **JOB,
    **dict.fromkeys(("input", "output", "configuration", "superseded_by_job", "mapreduce", "policy")),
    "env": {"LEVEL": "3", "PASSWORD": "*****"},
    "secret_env": ["PASSWORD"],
    "execution": EXECUTION,
    "resources": {"resources": {"cpus": 0.5, "mem": 256, "disk": 0, "gpus": 0}},
}
EXPLANATION: Final[dict[str, Any]] = {
    "status": "QUEUED",
    "state": "QUEUED",
    "reasons": [
        {
            "code": "UNPAID",
            "hint": "The bill of May is open.",
            "since": _MOMENT,
            "value": None,
            "limit": None,
            "set_by": "mary",
        }
    ],
    "policy": None,
}
FORECAST: Final[dict[str, Any]] = {
    "place": {"cloud": "aws", "region": "eu-central-1"},
    "policy": None,
    "vcpus": 2.0,
    "memory_mib": 4096,
    "offer": {"name": "m6i.large", "capacity": "on-demand"},
    "waits_for": [],
    "cost": {
        "currency": "USD",
        "rate_per_hour": "0.1150000000",
        "p50": "0.0191666667",
        "p90": "0.0575000000",
        "jobs": 40,
        "source": "aws-price-list",
        "is_example": False,
    },
}
OPERATION: Final[dict[str, Any]] = {
    "id": 5,
    "kind": "cancel",
    "status": "RUNNING",
    "selection": {"customer": ["acme"], "status": ["QUEUED"]},
    "parameters": {},
    "total": 1200,
    "done": 800,
    "failed": 1,
    "created_by": "mary",
    "created": _MOMENT,
    "started": _MOMENT,
    "ended": None,
}
