"""What some tests need of the machine, really tried. A probe returns why not, or an empty text."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.environment import CHECKOUT


def _runs(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"{command[0]}: not installed"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        return f"{' '.join(command)}: {said[-1] if said else f'exit code {done.returncode}'}"
    return ""


def _first(*reasons: Callable[[], str]) -> str:
    """Empty when one of several ways is open, else why the first is not."""
    said = ""
    for reason in reasons:
        why = reason()
        if not why:
            return ""
        said = said or why
    return said


def _postgresql() -> str:
    url = os.environ.get("TEST_POSTGRES_URL") or os.environ.get("DATABASE_URL", "")
    return "" if url.startswith("postgres") else "no PostgreSQL named in DATABASE_URL or TEST_POSTGRES_URL"


def azurite_program() -> str:
    """Azurite's blob server: that on the path, else where .ci/run puts it."""
    return shutil.which("azurite-blob") or str(CHECKOUT / ".data/azurite/node_modules/.bin/azurite-blob")


def terraform_plugins() -> Path | None:
    """The folder with the provider of AWS for terraform: that of TERRAFORM_PLUGINS, else where terraform looks."""
    kept = "registry.terraform.io/hashicorp/aws"
    named = os.environ.get("TERRAFORM_PLUGINS")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    usual = ["~/.terraform.d/plugins", *(f"{folder}/terraform/plugins" for folder in shared.split(":"))]
    folders = (Path(name).expanduser() for name in ([named] if named else usual))
    return next((folder for folder in folders if (folder / kept).is_dir()), None)


def _terraform() -> str:
    if why := _runs("terraform", "version"):
        return why
    return "" if terraform_plugins() else "no folder of plugins has hashicorp/aws (TERRAFORM_PLUGINS names one)"


def _engine(name: str) -> str:
    if shutil.which(name) is None:
        return f"{name}: not installed"
    from tests.clusters import engines  # the SDK takes a while to load: only for those who ask

    return engines.why_not(name)


PROBES: dict[str, Callable[[], str]] = {
    "azurite": lambda: _runs(azurite_program(), "--version"),
    "bubblewrap": lambda: _runs("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev", "true"),
    "chromium": lambda: _first(lambda: _runs("chromium", "--version"), lambda: _runs("google-chrome", "--version")),
    "compiler": lambda: _first(lambda: _runs("gcc", "--version"), lambda: _runs("cc", "--version")),
    "docker": lambda: _runs("docker", "version", "--format", "{{.Server.Version}}"),
    "dockerd": lambda: _engine("dockerd"),
    "localstripe": lambda: "" if find_spec("localstripe") else "localstripe: not installed",
    "nginx": lambda: _runs("nginx", "-v"),
    "podman": lambda: _engine("podman"),
    "postgresql": _postgresql,
    "prometheus": lambda: _runs("prometheus", "--version"),
    "terraform": _terraform,
}
# What no distribution has, and nothing here depends on but an example: told where it is missing, and never demanded.
MAY_BE_MISSING = frozenset({"terraform"})


@cache
def missing(name: str) -> str:
    """Why `name` is not to be had here; empty when it is."""
    return PROBES[name]()
