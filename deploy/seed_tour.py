"""The Seed part of `make demo`: a job type from its manifest, files in and out, a DATA error, a new version.

The program is a shell script that ships beside its manifest, in deploy/seed/text-statistics.
"""

from __future__ import annotations

import copy
import json
import sysconfig
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from native_tour import Caller, Check

HERE: Final = Path(__file__).resolve().parent / "seed" / "text-statistics"
STDLIB: Final = Path(sysconfig.get_path("stdlib"))
TEXTS: Final = ("argparse.py", "typing.py", "subprocess.py")
NAME: Final = "text-statistics"


def walk(client: Caller, folder: Path, check: Check) -> None:
    """Register the job type, run it, look at what it gave; workspaces are made in `folder`."""
    print("\nA Seed job type, from its manifest:")
    broker = {"type": "host", "host_path": str(folder / "texts")}
    client.call("POST", "/v6/workspaces/", {"name": "texts", "title": "Texts", "configuration": {"broker": broker}})
    manifest = json.loads((HERE / "seed.manifest.json").read_text())
    wish = {
        "docker_image": f"{NAME}:1.0.0",
        "manifest": manifest,
        "configuration": {
            "output_workspaces": {"default": "texts"},
            "settings": {"PROGRAM": str(HERE / "text-statistics")},
        },
    }
    verdict = client.call("POST", "/v6/job-types/validation/", wish)
    check(verdict == {"is_valid": True, "errors": [], "warnings": []}, f"the manifest is not valid: {verdict}")
    made = client.call("POST", "/v6/job-types/", wish)
    print(f"  POST /v6/job-types/: {made['name']} {made['version']}, revision {made['revision_num']}")
    _run_texts(client, made["id"], check)
    _run_no_text(client, made["id"], check)
    _change(client, wish, check)


def _run_texts(client: Caller, job_type_id: int, check: Check) -> None:
    """Real files of this machine, each in a job of its own."""
    jobs = {name: _submit(client, job_type_id, upload(client, STDLIB / name)) for name in TEXTS}
    for name, job_id in jobs.items():
        job = _ended(client, job_id, check)
        check(job["status"] == "COMPLETED", f"the job on {name} ended as {job['status']}: {job['error']}")
        found = job["output"]["json"]
        (product,) = (client.call("GET", f"/v6/files/{i}/") for i in job["output"]["files"]["FREQUENT"])
        print(f"  job {job_id} on {name}: {found['lines']} lines, {found['words']} words -> {product['file_path']}")
    metadata = {"sourceCollection": "texts", "words": found["words"]}
    check(product["meta_data"] == metadata, f"the metadata is {product['meta_data']}")
    print(f"    its metadata, from the sidecar: {product['meta_data']}")
    first = _download(client, f"/v6/files/{product['id']}/content/").split("\n")[0].split("\t")
    check(first[0] == found["most_frequent"], f"the first of its words is {first[0]}, not {found['most_frequent']}")
    print(f"    its most frequent word, downloaded: {first[0]}, {first[1]} times")


def _run_no_text(client: Caller, job_type_id: int, check: Check) -> None:
    """A library of machine code, called a text: the program ends with 3, which its manifest names."""
    library = next(iter(sorted((STDLIB / "lib-dynload").glob("*.so"))), Path("/bin/sh"))
    job_id = _submit(client, job_type_id, upload(client, library))
    job = _ended(client, job_id, check)
    error = job["error"] or {}
    told = f"{job['status']} with {error.get('name')} ({error.get('category')}): {error.get('description')}"
    check((error.get("name"), error.get("category")) == ("not-a-text", "DATA"), f"the job on no text is {told}")
    print(f"  job {job_id} on {library.name}: {told}")


def _change(client: Caller, wish: dict[str, Any], check: Check) -> None:
    """A new revision of the version that is there, and a new version beside it."""
    manifest = copy.deepcopy(wish["manifest"])
    manifest["job"]["description"] = "Counts the lines and words of a text, and lists the words that are most frequent"
    client.call("PATCH", f"/v6/job-types/{NAME}/1.0.0/", {"manifest": manifest})
    revisions = client.call("GET", f"/v6/job-types/{NAME}/1.0.0/revisions/")["results"]
    check([each["revision_num"] for each in revisions] == [2, 1], f"the revisions are {revisions}")
    print(f"  PATCH /v6/job-types/{NAME}/1.0.0/ with another manifest: revisions 2 and 1")
    manifest["job"]["jobVersion"] = "1.10.0"
    made = client.call("POST", "/v6/job-types/", {**wish, "manifest": manifest})
    (row,) = client.call("GET", f"/v6/job-type-names/?keyword={NAME}")["results"]
    check(row["latest_version"] == "1.10.0", f"the latest version is {row['latest_version']}")
    print(f"  POST /v6/job-types/ with jobVersion 1.10.0: versions {', '.join(row['versions'])}")
    job = _ended(client, _submit(client, made["id"], upload(client, STDLIB / "this.py")), check)
    check(job["status"] == "COMPLETED", f"the job of 1.10.0 ended as {job['status']}: {job['error']}")
    counts = client.call("GET", "/v6/job-types/status/")["results"]
    for each in counts:
        if each["job_type"]["name"] == NAME:
            shown = ", ".join(f"{count['count']} {count['status']}" for count in each["job_counts"])
            print(f"    /v6/job-types/status/: {each['job_type']['version']}: {shown}")


def _submit(client: Caller, job_type_id: int, file_id: int) -> int:
    body = {"job_type_id": job_type_id, "input": {"files": {"TEXT": [file_id]}, "json": {"LONGEST": 5}}}
    return int(client.call("POST", "/v6/jobs/", body)["id"])


def _ended(client: Caller, job_id: int, check: Check) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        job: dict[str, Any] = client.call("GET", f"/v6/jobs/{job_id}/")
        if job["ended"]:
            return job
        check(time.monotonic() < deadline, f"job {job_id} is still {job['status']} ({job['reason']})")
        time.sleep(0.05)


def upload(client: Caller, path: Path) -> int:
    """Send a file as a text, whatever it is; its id."""
    where = {"workspace": "texts", "path": f"in/{time.time_ns()}/{path.name}", "media_type": "text/plain"}
    made = json.loads(raw(client, f"/v6/files/upload/?{urllib.parse.urlencode(where)}", path.read_bytes()))
    return int(made["id"])


def _download(client: Caller, path: str) -> str:
    return raw(client, path).decode()


def raw(client: Caller, path: str, body: bytes | None = None) -> bytes:
    headers = {**client.headers, "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(client.base + path, data=body, headers=headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        content: bytes = response.read()
    return content
