"""An image with the Python that runs the tests, made of this machine's own files: nothing is fetched.

Beside it only what tasks of MapReduce jobs and their programs call: coreutils' sort and env, and a shell. Everything
lies where it lies here, as the interpreter finds its library, and programs theirs, by absolute paths.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

IMAGE = "localhost/python:latest"
_PROGRAMS = ("sh", "env", "sort", "cat")
# Large, and of no use to a program without a screen.
_LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3"})


def add_python_image(client: Any) -> None:
    """Make IMAGE at an engine."""
    repository, tag = IMAGE.rsplit(":", 1)
    changes = ["ENV PATH=/usr/local/bin:/usr/bin:/bin"]
    client.api.import_image_from_data(_tree(), repository=repository, tag=tag, changes=changes)


def _tree() -> bytes:
    """A root file system as a tar."""
    interpreter = os.path.realpath(sys.executable)
    programs = {name: os.path.realpath(shutil.which(name) or name) for name in _PROGRAMS}
    library = list(_library(Path(sysconfig.get_path("stdlib"))))
    binaries = [interpreter, *programs.values(), *(str(path) for path in library if path.suffix == ".so")]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", dereference=True) as tar:
        for name, mode in (("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755), ("etc", 0o755)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for path in sorted({interpreter, *(str(path) for path in library), *_linked(binaries)}):
            tar.add(path)
        for at, where in {"usr/local/bin/python3": interpreter, **_links(programs)}.items():
            _add_program(tar, at, where)
    return target.getvalue()


def _library(root: Path) -> Iterator[Path]:
    """The files of the standard library, with what is compiled of them as it is run without options."""
    for at, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")]
        for name in names:
            if ".opt-" not in name and not name.startswith(("_tkinter.", "_test")):
                yield Path(at, name)


def _linked(binaries: Iterable[str]) -> set[str]:
    """The shared libraries that they are linked to, and what loads them."""
    told = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    words = (word for line in told.splitlines() if line.startswith("\t") for word in line.split())
    return {word for word in words if word.startswith("/")}


def _links(programs: dict[str, str]) -> dict[str, str]:
    """A program is to be had at /bin, and at /usr/bin, where `#!` lines look for env."""
    return {f"{folder}/{name}": path for name, path in programs.items() for folder in ("bin", "usr/bin")}


def _add_program(tar: tarfile.TarFile, at: str, path: str) -> None:
    """The interpreter is a link, by which it finds its library; of others each place has a copy."""
    if at.endswith("python3"):
        link = tarfile.TarInfo(at)
        link.type, link.linkname = tarfile.SYMTYPE, path
        tar.addfile(link)
    else:
        tar.add(path, at)
