"""Reads a running Scale v6 system over its REST API: what there is to take over, as plain values, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from controlplane.core.stores import AnswerTooLarge, CallFailed, Store, get

SECONDS: Final = 60.0  # for one answer
MAX_ANSWER_BYTES: Final = 64 * 2**20
MAX_PAGES: Final = 10_000
PAGE_SIZE: Final = 1000
Row = Mapping[str, Any]


class ScaleUnreadable(Exception):
    """What is at that address does not answer as Scale v6 does; the message says where and how."""


@dataclass(frozen=True, slots=True)
class ScaleRevision:
    """A manifest and an image, or a definition (`image` is empty), under its number."""

    number: int
    document: Any
    image: str = ""


@dataclass(frozen=True, slots=True)
class ScaleJobType:
    """A job type as its details tell it. `revisions` by rising number: the last one is the present one."""

    row: Row
    revisions: Sequence[ScaleRevision]

    @property
    def name(self) -> str:
        return f"{self.row['name']} {self.row['version']}"


@dataclass(frozen=True, slots=True)
class ScaleRecipeType:
    """A recipe type as its details tell it. `revisions` as those of a job type; `inside` names those it contains."""

    row: Row
    revisions: Sequence[ScaleRevision]
    inside: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return str(self.row["name"])


@dataclass(frozen=True, slots=True)
class ScaleSystem:
    workspaces: Sequence[Row] = ()
    errors: Sequence[Row] = ()
    job_types: Sequence[ScaleJobType] = ()
    recipe_types: Sequence[ScaleRecipeType] = field(default=())


class Scale:
    """The system at `url`, below which /v6/ lies."""

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ScaleUnreadable("An address begins with http:// or https://.")
        self._store = Store(url.rstrip("/"), token=token, scheme="Token")

    def read(self) -> ScaleSystem:
        """All of it. Raises ScaleUnreadable."""
        return ScaleSystem(
            [self._one(f"/v6/workspaces/{row['id']}/", "name") for row in self._rows("/v6/workspaces/", "id")],
            list(self._rows("/v6/errors/", "name", "title", "category")),
            [self._job_type(row) for row in self._rows("/v6/job-types/", "name", "version")],
            _inner_first([self._recipe_type(row) for row in self._rows("/v6/recipe-types/", "name")]),
        )

    def _job_type(self, row: Row) -> ScaleJobType:
        path = f"/v6/job-types/{_part(row['name'])}/{_part(row['version'])}/"
        details = self._one(path, "name", "version", "manifest", "revision_num", "docker_image")
        found = [
            ScaleRevision(one["revision_num"], one["manifest"], one["docker_image"])
            for one in self._revisions(path, "manifest", "docker_image")
        ]
        present = ScaleRevision(details["revision_num"], details["manifest"], details["docker_image"])
        earlier = [each for each in found if each.number < present.number]
        return ScaleJobType(details, [*earlier, present])

    def _recipe_type(self, row: Row) -> ScaleRecipeType:
        path = f"/v6/recipe-types/{_part(row['name'])}/"
        details = self._one(path, "name", "title", "definition", "revision_num")
        found = [ScaleRevision(one["revision_num"], one["definition"]) for one in self._revisions(path, "definition")]
        present = ScaleRevision(details["revision_num"], details["definition"])
        revisions = [*(each for each in found if each.number < present.number), present]
        return ScaleRecipeType(details, revisions, frozenset(_named_in([each.document for each in revisions])))

    def _revisions(self, path: str, *members: str) -> Iterator[Row]:
        """The details of each revision, by rising number."""
        numbers = sorted({row["revision_num"] for row in self._rows(f"{path}revisions/", "revision_num")})
        for number in numbers:
            yield self._one(f"{path}revisions/{number}/", "revision_num", *members)

    # --- Answers -------------------------------------------------------------------------------------

    def _rows(self, path: str, *members: str) -> Iterator[Row]:
        """The rows of a list, page by page. `next` says only that there is more: where, is for us to say."""
        for page in range(1, MAX_PAGES + 1):
            answer = self._ask(path, {"page": str(page), "page_size": str(PAGE_SIZE)})
            rows = answer.get("results")
            if not isinstance(rows, list):
                raise ScaleUnreadable(f"{path}: the answer is not a page of a list.")
            for row in rows:
                yield _with(path, row, members)
            if not answer.get("next") or not rows:
                return
        raise ScaleUnreadable(f"{path}: there is no end to this list.")

    def _one(self, path: str, *members: str) -> Row:
        return _with(path, self._ask(path, {}), members)

    def _ask(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = get(self._store, path, query, seconds=SECONDS, max_bytes=MAX_ANSWER_BYTES)
        except CallFailed as error:
            raise ScaleUnreadable(str(error)) from error
        except AnswerTooLarge as error:
            raise ScaleUnreadable(f"{path}: the answer is too large.") from error
        if answer.status in (401, 403):
            raise ScaleUnreadable(f"{path}: the token is not taken ({answer.status}); it has to be that of staff.")
        if answer.status != 200:
            raise ScaleUnreadable(f"{path}: the answer is {answer.status}.")
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise ScaleUnreadable(f"{path}: the answer is not JSON.") from error
        if not isinstance(value, dict):
            raise ScaleUnreadable(f"{path}: the answer is no object.")
        return value


def _part(text: object) -> str:
    """A name in a path: a version may hold a +."""
    return quote(str(text), safe="")


def _with(path: str, row: Any, members: Sequence[str]) -> Row:
    """`row` if it is an object with these members, and numbers where numbers belong. Raises ScaleUnreadable."""
    if not isinstance(row, dict) or (missing := [name for name in members if name not in row]):
        told = f"no {', '.join(missing)} in it" if isinstance(row, dict) else "no object"
        raise ScaleUnreadable(f"{path}: there is {told}.")
    for name in ("id", "revision_num"):
        if name in members and (not isinstance(row[name], int) or isinstance(row[name], bool)):
            raise ScaleUnreadable(f"{path}: {name} is no number.")
    return row


def _named_in(definitions: Sequence[Any]) -> Iterator[str]:
    """The recipe types that are nodes of definitions, which may be anything."""
    for definition in definitions:
        nodes = definition.get("nodes") if isinstance(definition, dict) else None
        for node in nodes.values() if isinstance(nodes, dict) else ():
            kind = node.get("node_type") if isinstance(node, dict) else None
            if isinstance(kind, dict) and isinstance(kind.get("recipe_type_name"), str):
                yield kind["recipe_type_name"]


def _inner_first(found: Sequence[ScaleRecipeType]) -> list[ScaleRecipeType]:
    """Each after those inside it; in a circle, which Scale does not allow, as they come."""
    waiting, ordered, known = list(found), list[ScaleRecipeType](), {each.name for each in found}
    done: set[str] = set()
    while waiting:
        ready = [each for each in waiting if (each.inside & known) - {each.name} <= done] or waiting[:1]
        ordered += ready
        done |= {each.name for each in ready}
        waiting = [each for each in waiting if each.name not in done]
    return ordered
