"""A container engine by its Docker Engine API, which Docker and Podman speak, in the words of our providers.

Every call raises ProviderError when the engine does not answer, NotFound for what it does not have, and
Refused, with its own words, for what it answers with any other error.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import docker
import docker.errors
import docker.types
import docker.utils
import requests
import urllib3.exceptions

from clusters.providers.errors import NotFound, ProviderError, Refused

ROOT_LABEL: Final = "control-plane.root"
CALL_SECONDS: Final = 120
# More of them at once are answered too, by connections that are not kept.
_CONNECTIONS: Final = 128
_STREAMS: Final = {1: "stdout", 2: "stderr"}
_FRESH: Final = ("created", "configured")
_OVER: Final = ("exited", "dead", "stopped")
_UNAVAILABLE: Final = 503
_AWAY: Final = "the container engine does not answer (does it run, and is its socket the one of LOCAL_DOCKER_HOST?)"


@dataclass(frozen=True, slots=True)
class State:
    """A container as the engine tells it. Times are seconds since the epoch, None for what has not been.

    `root` is that of the deployment it belongs to, "" when it is nobody's. `ports` has the published ones, by their
    numbers in the container.
    """

    status: str
    exit_code: int
    error: str
    out_of_memory: bool
    started: float | None
    finished: float | None
    root: str
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """It has never run."""
        return self.status in _FRESH

    @property
    def is_over(self) -> bool:
        return self.status in _OVER


@dataclass(frozen=True, slots=True)
class Found:
    """A container of ours, as a list of them shows it."""

    name: str
    labels: Mapping[str, str]
    is_over: bool
    is_fresh: bool
    is_leaving: bool  # it is being removed


class Output:
    """What a container has written so far and, when it is followed, what it goes on to write: (stream, bytes).

    One that is followed just ends when the engine goes away; the other raises ProviderError then.
    """

    def __init__(self, response: requests.Response, *, follow: bool) -> None:
        self._follow = follow
        self._frames = _frames(response)
        self._stream = docker.types.CancellableStream(self._frames, response)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._stream) if self._follow else self._whole()

    def _whole(self) -> Iterator[tuple[str, bytes]]:
        try:
            yield from self._frames
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderError(f"the container engine broke off: {error}") from error

    def close(self) -> None:
        """From any thread: whoever reads comes to an end."""
        with contextlib.suppress(OSError, AttributeError):  # it has been closed by the other side meanwhile
            self._stream.close()


class Engine:
    """The engine at `base_url` (unix:///… or tcp://…), or the one that the environment names. For any thread."""

    def __init__(self, base_url: str = "", *, call_seconds: int = CALL_SECONDS) -> None:
        self._base_url = base_url
        self._call_seconds = call_seconds
        self._client: Any = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Hang up; the next call connects again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def name(self) -> str:
        """The name of the machine it runs on."""
        with self._api() as api:
            return str(api.info().get("Name", ""))

    def image(self, image: str) -> Mapping[str, Any]:
        """What the engine knows of an image it has."""
        with self._api() as api:
            found: Mapping[str, Any] = api.inspect_image(image)
            return found

    def pull(self, image: str) -> None:
        """Fetch `image` from its registry. May take minutes."""
        with self._api() as api:
            # Podman answers 200 before it begins, and tells a failure as Docker tells one on the way.
            for line in api.pull(image, stream=True, decode=True):
                if error := line.get("error"):
                    raise Refused(str(error))

    def create(self, name: str, settings: Mapping[str, Any], host: Mapping[str, Any]) -> None:
        """Make a container. Both mappings are what the SDK's `create_container` and `create_host_config` take."""
        with self._api() as api:
            api.create_container(name=name, **settings, host_config=api.create_host_config(**host))

    def start(self, name: str) -> None:
        with self._api() as api:
            api.start(name)

    def kill(self, name: str, signal: str) -> None:
        with self._api() as api:
            api.kill(name, signal)

    def state(self, name: str) -> State:
        with self._api() as api:
            row = api.inspect_container(name)
        told = row["State"]
        return State(
            str(told["Status"]),
            int(told["ExitCode"]),
            str(told.get("Error") or ""),
            bool(told.get("OOMKilled")),
            _seconds(told["StartedAt"]),
            _seconds(told["FinishedAt"]),
            str((row["Config"].get("Labels") or {}).get(ROOT_LABEL, "")),
            _published(row.get("NetworkSettings", {}).get("Ports") or {}),
        )

    def containers(self, root: str) -> list[Found]:
        """Every container of the deployment with this root."""
        with self._api() as api:
            rows = api.containers(all=True, filters={"label": f"{ROOT_LABEL}={root}"})
        return [
            Found(
                row["Names"][0].strip("/"),
                row["Labels"] or {},
                is_over=row["State"] in _OVER,
                is_fresh=row["State"] in _FRESH,
                is_leaving=row["State"] == "removing",
            )
            for row in rows
        ]

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run `command` in a container that runs, to its end, however long that takes; its exit code."""
        with self._api() as api:
            made = api.exec_create(name, list(command))
            for _ in api.exec_start(made["Id"], stream=True):
                pass
            return int(api.exec_inspect(made["Id"])["ExitCode"])

    def check_network(self, name: str) -> None:
        """Raise NotFound when there is no network of this name."""
        with self._api() as api:
            api.inspect_network(name)

    def output(self, name: str, *, follow: bool) -> Output:
        """All output of a container from its beginning; with `follow` to its end, else to now."""
        with self._api() as api:
            # The SDK's own `logs` mixes the streams.
            address = f"{api.base_url}/v{api.api_version}/containers/{name}/logs"
            wishes = {"stdout": 1, "stderr": 1, "follow": int(follow)}
            response = api.get(address, params=wishes, stream=True, timeout=(self._call_seconds, None))
            if response.status_code == requests.codes.not_found:
                raise NotFound(response.text)
            if not response.ok:
                raise Refused(response.text)
            return Output(response, follow=follow)

    def remove(self, name: str) -> None:
        """Delete a container, whatever it does. One that is not there is no error."""
        with self._api() as api, contextlib.suppress(docker.errors.NotFound):
            api.remove_container(name, v=True, force=True)

    def create_volume(self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Make a volume; one of that name is kept."""
        with self._api() as api:
            api.create_volume(name, driver or "local", dict(options), dict(labels))

    def remove_volumes(self, root: str, name: str) -> None:
        """Delete the volumes of a deployment whose names begin with `name`."""
        with self._api() as api:
            for volume in api.volumes(filters={"label": f"{ROOT_LABEL}={root}"})["Volumes"] or []:
                if volume["Name"].startswith(name):
                    api.remove_volume(volume["Name"])

    @contextlib.contextmanager
    def _api(self) -> Iterator[Any]:
        try:
            yield self._connected()
        except docker.errors.NotFound as error:
            raise NotFound(_words(error)) from error
        except docker.errors.APIError as error:
            if error.status_code == _UNAVAILABLE:
                raise ProviderError(f"the container engine is not ready: {_words(error)}") from error
            raise Refused(_words(error)) from error
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise ProviderError(f"{_AWAY}: {error}") from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                where = {"base_url": self._base_url} if self._base_url else docker.utils.kwargs_from_env()
                self._client = docker.APIClient(
                    **where, version="auto", timeout=self._call_seconds, max_pool_size=_CONNECTIONS
                )
            return self._client


def _words(error: docker.errors.APIError) -> str:
    return str(error.explanation or error)


def _seconds(text: str) -> float | None:
    """Seconds since the epoch; the year 1 stands for never."""
    at = datetime.fromisoformat(text)
    return at.timestamp() if at.year > 1 else None


def _published(ports: Mapping[str, Any]) -> dict[int, int]:
    """Where ports of a container are reached on the engine's machine; of a number with two protocols, by TCP."""
    found: dict[int, int] = {}
    for text, bindings in sorted(ports.items(), reverse=True):  # udp before tcp
        if bindings:
            found[int(text.partition("/")[0])] = int(bindings[0]["HostPort"])
    return found


def _frames(response: requests.Response) -> Iterator[tuple[str, bytes]]:
    """Take the two streams apart: frames of a stream's number, three zero bytes, a length and the bytes."""
    while len(header := response.raw.read(8)) == 8:
        number, length = struct.unpack(">BxxxL", header)
        text = response.raw.read(length)
        if number in _STREAMS:
            yield _STREAMS[number], text
