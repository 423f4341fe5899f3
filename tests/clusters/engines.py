"""Real container engines of the tests' own: dockerd and Podman, each with its own folder and socket.

Nothing is fetched: the image is a tree around the static busybox of Debian's package `busybox-static`.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors

IMAGE = "localhost/busybox:latest"  # Podman imports under no other tag
ENTRY_IMAGE = "localhost/entry:latest"
LABEL = ("com.ngageoint.seed.manifest", "a-manifest")
BUSYBOX = Path("/bin/busybox")
START_SECONDS = 30.0
_PROGRAMS = (
    *("cat", "dd", "echo", "env", "false", "grep", "head", "httpd", "id", "ls", "mount", "nc", "sh", "sleep", "touch"),
    *("tr", "true", "wget"),
)
_FILES = (
    ("etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\n"),
    ("bin/printenv", 0o755, b'#!/bin/sh\neval "echo \\"\\$$1\\""\n'),  # Debian's has none
)

# Podman's defaults want limits that cannot be raised in a container, and a runtime that knows only cgroups v2.
_PODMAN_CONF = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{tmp}"
"""


@dataclass
class Engine:
    """An engine that runs: `name` is dockerd or podman, `url` its socket."""

    name: str
    folder: Path
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/engine.sock"

    def client(self) -> Any:
        """A client of the SDK; close it."""
        return docker.DockerClient(base_url=self.url, timeout=60)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"{self.name} does not answer"
            time.sleep(0.05)

    def answers(self) -> bool:
        if not (self.folder / "engine.sock").exists():
            return False
        try:
            with contextlib.closing(docker.DockerClient(base_url=self.url, timeout=10)) as client:
                return bool(client.ping())
        except docker.errors.DockerException:
            return False

    def stop(self) -> None:
        """End the engine. Podman's containers go on, dockerd's end with it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def clear(self) -> None:
        """End everything of it."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.closing(self.client()) as client:
                for container in client.containers.list(all=True):
                    with contextlib.suppress(docker.errors.APIError):
                        container.remove(force=True)
            self.stop()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (at := line.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", at], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _dockerd(folder: Path) -> Engine:
    command = [
        "dockerd",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/engine.sock",
        "--iptables=false",
        "--bridge=none",
    ]
    return Engine("dockerd", folder, command, {})


def _podman(folder: Path) -> Engine:
    (folder / "containers.conf").write_text(_PODMAN_CONF.format(tmp=folder / "tmp"))
    command = [
        "podman",
        f"--root={folder}/data",
        f"--runroot={folder}/exec",
        "system",
        "service",
        "--time=0",
        f"unix://{folder}/engine.sock",
    ]
    return Engine("podman", folder, command, {"CONTAINERS_CONF": str(folder / "containers.conf")})


@contextlib.contextmanager
def running(name: str) -> Iterator[Engine]:
    """An engine with the images IMAGE and ENTRY_IMAGE. Its folder has a short path: sockets want that."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-")).resolve()
    engine = (_dockerd if name == "dockerd" else _podman)(folder)
    try:
        engine.start()
        with contextlib.closing(engine.client()) as client:
            add_image(client, IMAGE, ['CMD ["/bin/sh", "-c", "echo by itself"]', "ENV PATH=/bin"])
            add_image(client, ENTRY_IMAGE, ['ENTRYPOINT ["/bin/echo", "entry"]', "LABEL " + "=".join(LABEL)])
        yield engine
    finally:
        engine.clear()


def why_not(name: str) -> str:
    """Why no container can be run by the engine `name` here; empty when one was."""
    try:
        with running(name) as engine, contextlib.closing(engine.client()) as client:
            client.containers.run(IMAGE, ["true"], network_mode="none", remove=True)
    except (AssertionError, OSError, docker.errors.DockerException) as error:
        return f"{name}: {error}"
    return ""


def add_image(client: Any, name: str, changes: list[str]) -> None:
    """Make an image of the busybox tree, with `changes` in the words of a Dockerfile."""
    repository, tag = name.rsplit(":", 1)
    client.api.import_image_from_data(_tree(), repository=repository, tag=tag, changes=changes)


def _tree() -> bytes:
    """A root file system as a tar."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "usr/bin"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        tar.add(BUSYBOX, "bin/busybox")
        for at in ("bin", "usr/bin"):
            for name in _PROGRAMS:
                link = tarfile.TarInfo(f"{at}/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
                tar.addfile(link)
        for name, mode, text in _FILES:
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(text), mode
            tar.addfile(file, io.BytesIO(text))
    return target.getvalue()
