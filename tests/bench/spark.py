"""PySpark's word count, the peer of ours: installed once, where that can be done, and really tried.

PySpark goes into an environment of its own in .data/bench; where no `java` is, Debian's package of one is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final

from tests import environment

VERSION: Final = "4.1.4"  # wants Java 17 or newer
HOME: Final = environment.CHECKOUT / ".data" / "bench" / f"pyspark-{VERSION}"
JAVA_PACKAGE: Final = "default-jre-headless"
INSTALL_SECONDS: Final = 900
MOST_SECONDS: Final = 300

# As its users write it, with what a machine of two cores and one user is to be told.
_COUNT: Final = """
import sys
from pyspark.sql import SparkSession, functions as F
text, folder = sys.argv[1:]
settings = {"spark.ui.enabled": "false", "spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4",
            "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.local.dir": folder}
session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
words = session.read.text(text).select(F.explode(F.split("value", " ")).alias("word")).where("word <> ''")
with open(f"{folder}/counts.tsv", "w") as file:
    for word, count in words.groupBy("word").count().collect():
        file.write(f"{word}\\t{count}\\n")
session.stop()
"""


class _Refused(Exception):
    """A step that did not go well; its text says why."""


@cache
def missing() -> str:
    """Install what is missing, and try it; why it cannot be measured here, empty when it can."""
    try:
        _install_java()
        _install_pyspark()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in.txt").write_text("one two one\n")
            _, found = _run(Path(folder) / "in.txt", folder)
    except _Refused as why:
        return str(why)
    return "" if sorted(found.splitlines()) == [b"one\t2", b"two\t1"] else f"it counts wrong: {found[:200]!r}"


def count(text: Path) -> tuple[float, bytes]:
    """Seconds from the start of its process to its end, and a line `word TAB count` for each word, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _run(text, folder)
        except _Refused as why:
            raise AssertionError(f"PySpark: {why}") from why


def _run(text: Path, folder: str) -> tuple[float, bytes]:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    began = time.perf_counter()
    _call(MOST_SECONDS, str(HOME / "bin/python"), "-c", _COUNT, str(text), folder, env=env, cwd=folder)
    return time.perf_counter() - began, (Path(folder) / "counts.tsv").read_bytes()


def _install_java() -> None:
    if shutil.which("java"):
        return
    if os.geteuid() or shutil.which("apt-get") is None:
        raise _Refused("java: not installed, and not to be installed without root and apt-get")
    print(f"installing {JAVA_PACKAGE}, for PySpark", flush=True)
    env = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    _call(INSTALL_SECONDS, "apt-get", "update", "-q", env=env)
    _call(INSTALL_SECONDS, "apt-get", "install", "-q", "-y", "--no-install-recommends", JAVA_PACKAGE, env=env)


def _install_pyspark() -> None:
    done = HOME / ".installed"
    if done.exists():
        return
    print(f"installing PySpark {VERSION} into {HOME.relative_to(environment.CHECKOUT)}", flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    pip = (str(HOME / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", f"pyspark=={VERSION}")
    _call(INSTALL_SECONDS, sys.executable, "-m", "venv", str(HOME))
    _call(INSTALL_SECONDS, *pip)
    done.touch()


def _call(seconds: float, *command: str, env: dict[str, str] | None = None, cwd: str | None = None) -> None:
    """Run a command to its end. Raises _Refused with the last line it has said."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Refused(str(error)[:300]) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise _Refused(f"{Path(command[0]).name}: {said[-1] if said else f'exit code {done.returncode}'}"[:300])
