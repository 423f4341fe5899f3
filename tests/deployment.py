"""Real deployments for tests: processes, a folder and a database of their own, on loopback.

    def test_…(deployment):
        place = deployment(LOCAL_VCPUS="2")       # on the database of this run, migrated
        place.start_manage("work")
        url = place.start_web()
        place.rows("SELECT count(*) FROM jobs_job")

Everything is ended and removed with the test, by process id.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from tests.environment import CHECKOUT, RUN_FOLDER, WORKER
from tests.postgresql import free_port

STOP_SECONDS = 20
START_SECONDS = 60
# The one variable by which a deployment's processes are told from all others.
MARK = "TEST_DEPLOYMENT"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SECRET_KEY", "ENCRYPTION_KEYS")


def server_url() -> str:
    """The PostgreSQL server for deployments, as a URL of any of its databases."""
    return os.environ.get("TEST_POSTGRES_URL") or os.environ.get("DATABASE_URL", "")


def present_database() -> str:
    return "postgresql" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "sqlite"


def _folder() -> Path:
    return Path(os.environ[RUN_FOLDER]) / WORKER


def _environment(data: Path, url: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {
        "DATA_DIR": str(data),
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "controlplane.settings",
        "PYTHONUNBUFFERED": "1",
    }


def _manage(env: dict[str, str], *arguments: str, timeout: float = 120) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"manage.py {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout


# --- Databases: migrated once per run, then copied -----------------------------------------------


def _on_server(statement: str) -> None:
    with psycopg.connect(make_conninfo(server_url(), dbname="postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def _url_of(name: str) -> str:
    return f"{server_url().rpartition('/')[0]}/{name}"


@contextmanager
def _one_at_a_time() -> Iterator[Path]:
    """The folder that all processes of this run share, for one of them at a time."""
    shared = Path(os.environ[RUN_FOLDER])
    with (shared / "templates.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield shared


def _whole(original: Path, copy: Path) -> None:
    with closing(sqlite3.connect(original)) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])


def sqlite_template() -> Path:
    """A migrated database to copy; made by the first process of the run that asks."""
    with _one_at_a_time() as shared:
        template = shared / "template.sqlite3"
        if not template.exists():
            data = _folder() / "template"
            data.mkdir()
            original, whole = data / "migrated.sqlite3", data / "template.sqlite3"
            _manage(_environment(data, f"sqlite:///{original}"), "migrate", "--verbosity", "0")
            _whole(original, whole)
            whole.rename(template)
    return template


def server_template() -> str:
    """The name of a migrated database on the server, to copy; made by the first process of the run that asks."""
    with _one_at_a_time() as shared:
        note = shared / "server-template"
        if not note.exists():
            name = f"template_{uuid.uuid4().hex[:8]}"
            _on_server(f"CREATE DATABASE {name}")
            note.write_text(name)
            data = _folder() / "template-pg"
            data.mkdir(exist_ok=True)  # of a server before this one
            _manage(_environment(data, _url_of(name)), "migrate", "--verbosity", "0")
    return note.read_text()


def _bootstrapped(database: str, arguments: tuple[str, ...]) -> tuple[str, str]:
    """A database like the template in which `manage.py bootstrap` has run with these arguments, and what it said.

    The path of its file, or its name on the server; made by the first process of the run that asks.
    """
    template = str(sqlite_template()) if database == "sqlite" else server_template()
    key = hashlib.sha256(" ".join((database, template, *arguments)).encode()).hexdigest()[:16]
    with _one_at_a_time() as shared:
        said = shared / f"bootstrapped-{key}.txt"
        file, name = shared / f"bootstrapped-{key}.sqlite3", f"{template}_{key}"
        if not said.exists():
            data = _folder() / f"bootstrapped-{key}"
            data.mkdir(exist_ok=True)
            if database == "sqlite":
                url = f"sqlite:///{shutil.copyfile(template, data / 'own.sqlite3')}"
            else:
                _on_server(f"CREATE DATABASE {name} TEMPLATE {template}")
                with (shared / "server-bootstrapped").open("a") as names:
                    names.write(f"{name}\n")
                url = _url_of(name)
            words = _manage(_environment(data, url), "bootstrap", *arguments)
            if database == "sqlite":
                _whole(data / "own.sqlite3", file)
            said.write_text(words)
    return (str(file) if database == "sqlite" else name), said.read_text()


def drop_templates() -> None:
    """Called when the run ends."""
    for note in ("server-template", "server-bootstrapped"):
        names = Path(os.environ[RUN_FOLDER]) / note
        if names.exists():
            for name in names.read_text().split():
                _on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            names.unlink()


# --- Deployments ---------------------------------------------------------------------------------


_FURNISH: Final = """
import json
from pathlib import Path
from django.conf import settings
settings.MAPREDUCE_FOLDERS = [str(Path(settings.DATA_DIR) / "mapreduce")]
from tests.browsers import furnish, pages
furnish()
print(json.dumps(list(pages(changing=True))))
"""


class Deployment:
    """One deployment. `env` is what its processes get; add to it before starting any."""

    def __init__(self, database: str | None = None, **settings: str) -> None:
        self.database = database or present_database()
        self.name = f"d{uuid.uuid4().hex[:10]}"
        # A short path: sockets below it must fit in 107 bytes.
        self.folder = _folder() / self.name
        self.folder.mkdir(mode=0o700)
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir()
        if self.database == "sqlite":
            file = self.data_dir / "controlplane.sqlite3"
            shutil.copyfile(sqlite_template(), file)
            self.database_url = f"sqlite:///{file}"
        else:
            _on_server(f"CREATE DATABASE {self.name} TEMPLATE {server_template()}")
            self.database_url = _url_of(self.name)
        self.env = _environment(self.data_dir, self.database_url) | {MARK: str(self.folder)} | settings
        self.base_url = ""
        self.token = ""  # of the first admin
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def run_manage(self, *arguments: str, timeout: float = 120) -> str:
        """Run a management command to its end; its output. Fails the test when the command fails."""
        return _manage(self.env, *arguments, timeout=timeout)

    def bootstrap(self, username: str, password: str = "") -> str:
        """As `manage.py bootstrap --quiet` before all else here: the token of the first admin.

        It runs once in a run of the tests, and what it leaves is copied: it takes a second each time.
        """
        assert not self._started, "something runs here already"
        arguments = ("--username", username, *([f"--password={password}"] if password else []), "--quiet")
        source, said = _bootstrapped(self.database, arguments)
        if self.database == "sqlite":
            shutil.copyfile(source, self.data_dir / "controlplane.sqlite3")
        else:
            _on_server(f"DROP DATABASE {self.name}")
            _on_server(f"CREATE DATABASE {self.name} TEMPLATE {source}")
        self.token = said.strip()
        return self.token

    def run_python(self, code: str, *arguments: str) -> str:
        """Run a piece of code in a process of this deployment, as a caller of its services would; its output."""
        setup = "import django; django.setup()\n"
        done = subprocess.run(
            [sys.executable, "-c", setup + code, *arguments], cwd=CHECKOUT, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def furnish(self) -> list[str]:
        """Have a row in every table that the admin shows; the addresses of all its pages."""
        addresses: list[str] = json.loads(self.run_python(_FURNISH))
        return addresses

    def start_manage(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a management command that stays, in a process group of its own."""
        return self._start([sys.executable, "manage.py", *arguments], arguments[0], settings)

    def end_manage(self, name: str) -> None:
        """End a management command that was started here, as SIGTERM ends it."""
        for title, process in self._started:
            if title == name:
                assert self._end(process), f"{name} did not stop within {STOP_SECONDS} s"

    def start_web(self, port: int | None = None, **settings: str) -> str:
        """Start the web server and wait until it answers; its base URL, without a slash at the end."""
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
        for attempt in range(3):
            chosen = port or free_port()
            own = {"PORT": str(chosen), "WEB_WORKERS": "1", **settings}
            process = self._start(command, f"web{attempt}", own)
            if _answers(process, chosen):
                self.base_url = f"http://127.0.0.1:{chosen}"
                return self.base_url
            # Somebody else may have taken the port meanwhile.
            self._end(process)
        raise AssertionError(f"the web server did not start\n{self.logs()}")

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement (`%s` marks a parameter), past the ORM; its changes are committed."""
        if self.database == "sqlite":
            path = self.database_url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
                return connection.execute(statement.replace("%s", "?"), parameters).fetchall()
        with psycopg.connect(self.database_url) as server:
            cursor = server.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def logs(self, last_bytes: int = 6000) -> str:
        """The end of each process's output."""
        return "\n".join(
            f"--- {path.name}\n{path.read_bytes()[-last_bytes:].decode(errors='replace')}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def processes(self) -> list[psutil.Process]:
        """Every living process that belongs to this deployment, whoever its parent is."""
        return _belonging_to(self.folder)

    def stop(self) -> list[str]:
        """End everything, remove the database and the folder.

        Returns the commands of what still lived when the started processes had gone: the runner of
        jobs and its jobs outlive the workers by design.
        """
        for _, process in self._started:  # all are told before any is waited for
            if process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)
        stubborn = [title for title, process in reversed(self._started) if not self._end(process)]
        left = end_processes(self.folder)
        remaining = [_command(process) for process in self.processes()]
        if self.database == "postgresql":
            _on_server(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        assert not remaining, f"could not be ended: {remaining}"
        assert not stubborn, f"did not stop within {STOP_SECONDS} s of SIGTERM: {stubborn}\n{self.logs()}"
        shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def _start(self, command: list[str], title: str, settings: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self._started):02}-{title}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=CHECKOUT, env=self.env | settings, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._started.append((title, process))
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> bool:
        """End a process that was started here; whether it went when asked. A stopped one is let go on."""
        if process.poll() is not None:
            return True
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True


class Factory:
    """Makes deployments and stops those that the test has not stopped."""

    def __init__(self) -> None:
        self.made: list[Deployment] = []

    def __call__(self, database: str | None = None, **settings: str) -> Deployment:
        self.made.append(Deployment(database, **settings))
        return self.made[-1]

    def logs(self) -> str:
        return "\n".join(deployment.logs() for deployment in self.made)

    def stop(self) -> None:
        faults = []
        for deployment in self.made:
            if deployment.folder.exists():
                try:
                    deployment.stop()
                except AssertionError as error:
                    faults.append(str(error))
        assert not faults, "\n".join(faults)


def end_processes(folder: Path) -> list[str]:
    """Kill every process of the deployments in `folder`; what they were."""
    ended: list[str] = []
    for _ in range(5):  # one that was about to start another may have done so meanwhile
        left = _belonging_to(folder)
        if not left:
            break
        ended += [_command(process) for process in left]
        _kill(left)
    return ended


def _belonging_to(folder: Path) -> list[psutil.Process]:
    """Living processes of the deployments in `folder`, and what they started with an environment of its own."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _is_of(process, folder):
            found[process.pid] = process
            for child in _children(process):
                found.setdefault(child.pid, child)
    return [process for process in found.values() if _lives(process)]


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        mark = process.environ().get(MARK)
        # What has no mark names its data on its command line, or works in it: what outlived who started it, too.
        texts = [mark] if mark else [*process.cmdline(), process.cwd()]
        return any(text == str(folder) or f"{folder}/" in text for text in texts)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
        return False


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            else:
                return process.poll() is None
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid}: gone"


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + STOP_SECONDS
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
