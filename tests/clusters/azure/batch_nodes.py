"""Nodes of the stand-in: they run tasks for real, as containers of a dockerd, and keep what these write."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors

from tests.clusters.azure.batch_rest import seconds

Failure = dict[str, Any]
STOPPED = "The task was ended by user request"
OUT_OF_TIME = "The maximum execution time configured on the task was exceeded"


def failure(category: str, code: str, message: str, **details: str) -> Failure:
    rows = [{"name": name, "value": value} for name, value in details.items()]
    return {"category": category, "code": code, "message": message, **({"details": rows} if rows else {})}


class Run:
    """One task on a node, in a thread of its own. `ended(exit code, failure)` is called at its end."""

    def __init__(
        self,
        engine: str,
        folder: Path,
        task: Mapping[str, Any],
        added: Mapping[str, str],
        ended: Callable[[int | None, Failure | None], None],
    ) -> None:
        self.folder = folder
        self._engine = engine
        self._task = task
        self._env = {one["name"]: one.get("value", "") for one in task.get("environmentSettings", ())} | dict(added)
        self._ended = ended
        self._lock = threading.Lock()
        self._why: Failure | None = None
        self._container: Any = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.thread.start()

    def stop(self, why: Failure) -> None:
        """Kill it, now or as soon as it starts; only the first reason counts."""
        with self._lock:
            self._why = self._why or why
            if self._container is not None:
                with contextlib.suppress(docker.errors.APIError):
                    self._container.kill()

    def _run(self) -> None:
        with contextlib.closing(docker.DockerClient(base_url=self._engine, timeout=60)) as client:
            try:
                code, failed = self._in_container(client)
            except docker.errors.APIError as error:
                code, failed = None, _cannot_start(error.explanation or str(error))
        self._ended(code, failed)

    def _in_container(self, client: Any) -> tuple[int | None, Failure | None]:
        settings = self._task["containerSettings"]
        try:
            client.images.get(settings["imageName"])
        except docker.errors.ImageNotFound as error:
            message = "One or more container images specified are invalid"
            return None, failure("UserError", "ContainerInvalidImage", message, Message=str(error.explanation))
        try:
            options = _options(settings.get("containerRunOptions", ""))
            command = shlex.split(self._task["commandLine"])
        except ValueError as error:
            return None, _cannot_start(str(error))
        container = client.containers.create(
            settings["imageName"], command, environment=self._env, network_mode="none", **options
        )
        try:
            return self._watch(client, container)
        finally:
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True)

    def _watch(self, client: Any, container: Any) -> tuple[int | None, Failure | None]:
        output = client.api.attach(container.id, stdout=True, stderr=True, stream=True, demux=True)
        with self._lock:
            if self._why:
                return None, self._why
            container.start()
            self._container = container
        out_of_time = failure("UserError", "TaskEnded", STOPPED, Message=OUT_OF_TIME)
        timer = threading.Timer(self._limit(), self.stop, [out_of_time])
        timer.daemon = True
        timer.start()
        with (self.folder / "stdout.txt").open("ab", 0) as out, (self.folder / "stderr.txt").open("ab", 0) as err:
            for pieces in output:
                for target, piece in zip((out, err), pieces, strict=True):
                    if piece:
                        target.write(piece)
        code = container.wait()["StatusCode"]
        timer.cancel()
        with self._lock:
            self._container, why = None, self._why
        if why:
            return code, why
        if code:
            message = "The task exited with an exit code representing a failure"
            return code, failure("UserError", "FailureExitCode", message)
        return 0, None

    def _limit(self) -> float:
        told = self._task.get("constraints", {}).get("maxWallClockTime")
        return seconds(told) if told else threading.TIMEOUT_MAX


def _cannot_start(words: str) -> Failure:
    message = "At least one value of specified task container settings is invalid"
    return failure("UserError", "ContainerInvalidSettings", message, Message=words)


def _options(text: str) -> dict[str, Any]:
    """Options of `docker create`, those that the stand-in knows. ValueError for others."""
    found: dict[str, Any] = {}
    words = iter(shlex.split(text))
    for word in words:
        name, _, value = word.partition("=")
        value = value or next(words, "")
        if name == "--cpus":
            found["nano_cpus"] = int(float(value) * 1e9)
        elif name == "--memory":
            found["mem_limit"] = value
        elif name == "--shm-size":
            found["shm_size"] = value
        elif name == "--entrypoint":
            found["entrypoint"] = [value]
        elif (name, value) != ("--network", "none"):  # there is no other
            raise ValueError(f"unknown flag: {name}")
    return found
