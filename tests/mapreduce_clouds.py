"""A cloud whose containers are processes of this machine, for MapReduce jobs, with all of their data in moto's S3."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from clusters.providers.base import Observation, Phase, Work
from controlplane.core.storage import Storage, open_storage
from jobs import scheduling, states
from jobs.models import Job
from jobs.services.artifacts import put_artifact
from tests.clouds import REGION, CloudStage, ScriptedCloud
from tests.environment import CHECKOUT
from tests.factories import Person, make_customer_user
from tests.jobs.mapreduce.worker import programs
from tests.mapreduce import make_mapreduce
from tests.servers import S3Server

WORKER: Final = str(CHECKOUT / "jobs/mapreduce/worker")
SECONDS: Final = 60.0


class RunningCloud(ScriptedCloud):
    """Runs what is submitted: the entrypoint of the worker's image in place of the container."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.said: dict[str, str] = {}  # by handle: what a container has written
        self.works: dict[str, Work] = {}
        self.starts = True  # False: what is submitted waits

    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        handles = super().submit(name, works)
        for handle, work in zip(handles, works, strict=True):
            self.works[handle] = work
            if self.starts:
                self.launch(handle)
        return handles

    def launch(self, handle: str) -> None:
        work, folder = self.works[handle], self._folder / handle
        assert work.image_entrypoint, "the image says what is run"
        assert work.image == settings.MAPREDUCE_IMAGE
        folder.mkdir()
        env = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), **work.env}
        command = [sys.executable, "-I", "-S", WORKER, *work.command]
        with open(self._folder / f"{handle}.log", "wb") as log:
            self._running[handle] = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.start(handle)

    def start_all(self) -> None:
        """From now on everything starts, what waits as well."""
        self.starts = True
        for handle in self.handles:
            if self._seen[handle].phase is Phase.WAITING:
                self.launch(handle)

    def wait(self) -> None:
        """Until every container has ended."""
        for process in self._running.values():
            process.wait(SECONDS)

    def observe(self, handles: Sequence[str]) -> list[Observation]:
        for handle, process in list(self._running.items()):
            if process.poll() is not None:
                self._ended(handle)
                self.end(handle, exit_code=process.returncode)
        return super().observe(handles)

    def cancel(self, handles: Sequence[str]) -> None:
        for handle in set(handles) & self._running.keys():
            self._running[handle].kill()
            self._running[handle].wait()
            self._ended(handle)
        super().cancel(handles)

    def _ended(self, handle: str) -> None:
        del self._running[handle]
        self.said[handle] = (self._folder / f"{handle}.log").read_text()
        self.write(handle, self.said[handle])

    def stop(self) -> None:
        self.cancel(list(self._running))


class MapReduceStage(CloudStage):
    """A region of a running cloud, its storage between tasks, and a bucket for input and output."""

    def __init__(self, monkeypatch: Any, server: S3Server, folder: Path) -> None:
        super().__init__(monkeypatch)
        self.server = server
        self.cloud: RunningCloud = RunningCloud(folder)
        self.caller = self.another()
        self.between = server.configuration(server.make_bucket())
        monkeypatch.setattr(settings, "STORAGE_ENDPOINTS", [server.endpoint])
        monkeypatch.setattr(settings, "MAPREDUCE_CLOUD_STORAGE", self.between["broker"])
        monkeypatch.setattr(settings, "OUTPUT_STORAGE", {"type": "host", "host_path": str(folder / "outputs")})
        monkeypatch.setattr(settings, "RETRY_BACKOFF_SECONDS", 0)
        self.bucket = server.make_bucket()
        self.owner: Person = make_customer_user()

    @property
    def storage(self) -> Storage:
        """What lies between tasks."""
        return open_storage(self.between, allowed_endpoints=[self.server.endpoint])

    def program(self, name: str, code: str) -> Any:
        source = [f"#!{sys.executable}\n{code}".encode()]
        made = put_artifact(actor=self.owner.user, name=name, source=source, protocol="streaming")
        return made.versions.select_related("artifact").get(number=made.version)

    def make(self, text: bytes, **wish: Any) -> Job:
        """A word count of `text`."""
        client = self.server.client()
        client.put_bucket_acl(Bucket=self.bucket, ACL="public-read-write")  # for jobs without credentials
        client.put_object(Bucket=self.bucket, Key="in/text", Body=text, ACL="public-read")
        key = {"username": self.server.access_key, "password": self.server.secret_key}
        place = f"{self.server.endpoint}/{self.bucket}"
        given: dict[str, Any] = {"inputs": [f"{place}/in/"], "output": f"{place}/out", "split_bytes": 500}
        given |= {"credentials": {"input": key, "output": key}, "cloud": "aws", "region": REGION, "reducers": 2}
        given.setdefault("mapper", self.program("mapper", programs.MAPPER))
        given.setdefault("reducer", self.program("reducer", programs.REDUCER))
        return make_mapreduce(self.owner, **{**given, **wish})

    def turns(self, until: Callable[[], bool]) -> None:
        """Turns, until something is so."""
        end = time.monotonic() + SECONDS
        while not until():
            assert time.monotonic() < end, "it does not come to its end"
            scheduling.wake_delayed()  # as the pass of a machine does
            self.turn()
            time.sleep(0.05)

    def finish(self, job: Job) -> Job:
        """Turns, until the job has ended and what lay between its tasks is gone."""

        def has_ended() -> bool:
            job.refresh_from_db()
            return job.status in states.FINAL

        self.turns(has_ended)
        self.turn()
        return job

    def output(self) -> dict[str, bytes]:
        """The objects of the job's output, by their keys below its folder."""
        client = self.server.client()
        found = client.list_objects_v2(Bucket=self.bucket, Prefix="out/").get("Contents", [])
        read = {each["Key"]: client.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read() for each in found}
        return {key.split("/", 2)[2]: text for key, text in read.items()}
