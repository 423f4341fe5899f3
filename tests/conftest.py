"""What every test stands on: an environment of its own, the `needs` and `group` markers, timings by group."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests import environment

if settings.configured:
    raise pytest.UsageError("unset DJANGO_SETTINGS_MODULE: the tests make their own environment")
_MADE_HERE = environment.RUN_FOLDER not in os.environ
FOLDER = environment.prepare()

import django  # noqa: E402 - settings are read now, and only now

django.setup()
# Not for xdist's workers: pytest-django would read settings there before this file is.
del os.environ["DJANGO_SETTINGS_MODULE"]

from controlplane.core.remembered import forget_all  # noqa: E402
from tests import deployment as deployments  # noqa: E402
from tests.groups import EACH_ONCE, SHARED_OUT, group_of  # noqa: E402
from tests.lanes import Lanes  # noqa: E402
from tests.needs import PROBES, missing  # noqa: E402
from tests.servers import azurite, s3_server  # noqa: E402, F401

_ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
MANY = 3  # tests of one function: they are shared out between the databases
_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "deployment", "shared_deployment"}


# --- Groups and needs ----------------------------------------------------------------------------


def _uses_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(fixtures & _DATABASE_FIXTURES)


def _runs_here(item: pytest.Item, number: int) -> bool:
    """Whether a run of all tests has the test on this database; `number`: which of its function's it is, from 0."""
    if marker := item.get_closest_marker("runs_once"):
        database, _why = marker.args
        if database not in ("sqlite", "postgresql"):
            raise pytest.UsageError(f"{item.nodeid}: runs_once on sqlite or on postgresql, not on {database!r}")
        return bool(database == deployments.present_database())
    if not _uses_database(item):
        return not _ON_POSTGRESQL
    return SHARED_OUT not in os.environ or number < 0 or number % 2 == int(_ON_POSTGRESQL)


def _numbers(items: list[pytest.Item]) -> dict[str, int]:
    """Of the tests that differ in their parameters only, and are many, which is the how manieth; of others -1."""
    found: dict[str, list[str]] = {}
    for item in items:
        found.setdefault(item.nodeid.partition("[")[0], []).append(item.nodeid)
    return {each: n if len(same) >= MANY else -1 for same in found.values() for n, each in enumerate(same)}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    return Lanes(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, dropped = [], []
    numbers = _numbers(items)
    for item in items:
        group = group_of(item)
        if EACH_ONCE in os.environ and not _runs_here(item, numbers[item.nodeid]):
            dropped.append(item)
            continue
        kept.append(item)
        item.user_properties.append(("group", group))
        for marker in item.iter_markers("needs"):
            for name in marker.args:
                if name not in PROBES:
                    raise pytest.UsageError(f"{item.nodeid}: nobody knows how to find {name!r}")
                item.user_properties.append(("needs", name))
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish() -> None:
    """What is there now stays till the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if reason := missing(name):
                pytest.skip(f"needs {name}: {reason}")


# --- Timings, gathered in the process that reports -----------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Timings(config), "group-timings")


class _Timings:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.groups: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        row = self.groups.setdefault(
            str(properties.get("group", "?")),
            {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "missing": {}},
        )
        row["seconds"] += report.duration
        if report.failed:
            row["failed"] += 1
        elif report.skipped:
            row["skipped"] += 1
            reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
            if reason.startswith("Skipped: needs "):
                why = reason.removeprefix("Skipped: ")
                row["missing"][why] = row["missing"].get(why, 0) + 1
        elif report.when == "call":
            row["passed"] += 1

    def pytest_sessionfinish(self) -> None:
        target = os.environ.get("TEST_TIMINGS")
        if target and not hasattr(self.config, "workerinput"):
            Path(target).write_text(json.dumps(self.groups))


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    deployments.drop_templates()
    if _MADE_HERE:
        shutil.rmtree(FOLDER.parent, ignore_errors=True)


# --- Fixtures ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """A copy of what deployments copy: migrated once per run.

    A file for SQLite, as in a deployment: threads with connections of their own lock as they would there.
    """
    test = settings.DATABASES["default"].setdefault("TEST", {})
    if _ON_POSTGRESQL:
        test["TEMPLATE"] = deployments.server_template()
    else:
        test["NAME"] = str(FOLDER / "test.sqlite3")
        shutil.copyfile(deployments.sqlite_template(), test["NAME"])


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether the test database is taken as it is found: the copied file is."""
    return not _ON_POSTGRESQL


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _static_files_when_asked_for() -> None:
    """Each test client makes the middlewares anew, and WhiteNoise would read all static files for each."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What this process remembers are ids of rows that went with the last test."""
    forget_all()


@pytest.fixture
def deployment() -> Iterator[deployments.Factory]:
    """Make deployments with processes and a database of their own: `deployment()`, `deployment(DEBUG="1")`.

    Without `database`, on the database of this run. All are stopped at the end of the test.
    """
    factory = deployments.Factory()
    yield factory
    factory.stop()


@pytest.fixture(scope="module")
def shared_deployment() -> Iterator[deployments.Factory]:
    """As `deployment`, for all tests of a module, which look at one together: its file has a lane (lanes.py)."""
    factory = deployments.Factory()
    yield factory
    factory.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    found = getattr(item, "funcargs", {})
    factory = found.get("deployment") or found.get("shared_deployment")
    if report.failed and factory is not None:
        report.sections.append(("deployment", factory.logs()))
    return report
