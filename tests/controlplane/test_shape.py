"""The shape of the house: sizes, names, and rules that no other tool holds."""

from __future__ import annotations

import ast
import importlib
import io
import pkgutil
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from controlplane.core.errors import ControlPlaneError
from tests.environment import CHECKOUT

APPS = ("accounts", "billing", "clusters", "controlplane", "jobs", "jobtypes")
FUNCTION_LINES = 60
FILE_LINES = 500
TEST_FILE_LINES = 800
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|misc)(_|$)", re.IGNORECASE)
MAY_SET_STATUS = ("controlplane/core/transitions.py", "controlplane/core/sets.py")


@cache
def sources() -> dict[str, str]:
    """Every Python file of ours, by its path in the checkout."""
    folders = [CHECKOUT / name for name in (*APPS, "deploy", "tests")]
    files = [CHECKOUT / "manage.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    return {str(path.relative_to(CHECKOUT)): path.read_text() for path in files}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in sources().items()}


def product() -> Iterator[tuple[str, ast.Module]]:
    for name, tree in trees().items():
        if not name.startswith("tests/") and "/migrations/" not in name:
            yield name, tree


def length_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node):
        first = node.body[0]
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_no_function_is_long() -> None:
    found = [
        f"{name}:{node.lineno} {node.name}: {length_without_docstring(node)} lines"
        for name, tree in trees().items()
        if "/migrations/" not in name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length_without_docstring(node) > FUNCTION_LINES
    ]
    assert found == []


def test_no_file_is_long() -> None:
    found = [
        f"{name}: {lines} lines"
        for name, text in sources().items()
        if "/migrations/" not in name
        and (lines := text.count("\n")) > (TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES)
    ]
    assert found == []


def test_no_name_says_nothing() -> None:
    found = [name for name in sources() if any(SAYS_NOTHING.search(part) for part in Path(name).with_suffix("").parts)]
    for name, tree in product():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name)
                if SAYS_NOTHING.search(words):
                    found.append(f"{name}:{node.lineno} {node.name}")
    assert found == []


def _is_status(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "status"


def _is_status_call(node: ast.Call) -> bool:
    """`rows.update(status=…)` or `setattr(row, "status", …)`."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr == "update" and any(keyword.arg == "status" for keyword in node.keywords)
    if isinstance(node.func, ast.Name) and node.func.id == "setattr" and len(node.args) == 3:
        return isinstance(node.args[1], ast.Constant) and node.args[1].value == "status"
    return False


def _status_writes(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = [part for t in node.targets for part in (t.elts if isinstance(t, ast.Tuple | ast.List) else [t])]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        yield from (target.lineno for target in targets if _is_status(target))
        if isinstance(node, ast.Call) and _is_status_call(node):
            yield node.lineno


def test_nobody_but_the_guarded_move_sets_a_status() -> None:
    found = [
        f"{name}:{line}"
        for name, tree in product()
        if name not in MAY_SET_STATUS and not name.endswith("/states.py")
        for line in _status_writes(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("job.status = 'X'", 1), ("a, job.status = 1, 2", 1), ("setattr(job, 'status', 1)", 1),
        ("rows.update(status='X')", 1), ("status = job.status", 0), ("rows.filter(status='X')", 0),
    ],
)  # fmt: skip
def test_a_set_status_is_seen(text: str, count: int) -> None:
    assert len(list(_status_writes(ast.parse(text)))) == count


def test_no_type_complaint_is_silenced_without_naming_it() -> None:
    found = []
    for name, text in sources().items():
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and re.search(r"#\s*type:\s*ignore(?!\[)", token.string):
                found.append(f"{name}:{token.start[0]}")
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    bare = ("apps.py", "urls.py", "filters.py", "__init__.py")
    found = [name for name, tree in product() if not name.endswith(bare) and not ast.get_docstring(tree)]
    assert found == []


@pytest.mark.parametrize("path", sorted(settings.TASKS))
def test_every_task_of_the_table_is_a_function(path: str) -> None:
    assert callable(import_string(path))


def test_every_queue_of_the_table_is_run() -> None:
    assert set(settings.TASKS.values()) <= {settings.Q_CLUSTER["name"], *settings.Q_CLUSTER["ALT_CLUSTERS"]}


def _every_error() -> list[type[ControlPlaneError]]:
    for app in APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if ".migrations." not in module.name:
                importlib.import_module(module.name)
    found, waiting = [], [ControlPlaneError]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].__subclasses__()
    return found


def test_every_error_can_be_said_and_has_a_code_and_a_status() -> None:
    for error in _every_error():
        name = f"{error.__module__}.{error.__qualname__}"
        assert error.__doc__, f"{name}: its docstring is its default message"
        assert str(error()).strip(), name
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", error.code), name
        assert 400 <= error.http_status <= 599, name


def test_a_test_that_empties_the_database_puts_back_what_migrations_made() -> None:
    """Without it every later test in the same process misses the built-in errors and the groups."""
    found = [
        f"{path.relative_to(CHECKOUT)}: {mark}"
        for path in (CHECKOUT / "tests").rglob("*.py")
        for mark in re.findall(r"django_db\([^)]*transaction=True[^)]*\)", path.read_text())
        if "serialized_rollback=True" not in mark
    ]
    assert found == []
