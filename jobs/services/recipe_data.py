"""What flows through a recipe: from its own input and from the outputs of its jobs into the inputs of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.core.errors import InvalidRequest
from jobs.models import File
from jobs.policy import Policy
from jobs.queries.policies import policy_for
from jobtypes.models import JobTypeRevision
from jobtypes.queries.recipe_types import revisions_named
from jobtypes.recipe.conditions import FileFacts
from jobtypes.recipe.definition import Condition, Connection, Definition, JobTypeRef, Node
from jobtypes.recipe.interfaces import FILES, JSON, Interface, Kind, of_manifest
from jobtypes.seed.inputs import JobInput
from jobtypes.seed.manifest import Manifest, read_manifest

Document = Mapping[str, Any]


class JobTypes:
    """The revisions that a definition's nodes run, their manifests and policies: each is read once."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._revisions: dict[JobTypeRef, JobTypeRevision] | None = None
        self._manifests: dict[int, Manifest] = {}
        self._policies: dict[int, Policy | None] = {}

    def revision(self, ref: JobTypeRef) -> JobTypeRevision:
        if self._revisions is None:
            self._revisions = revisions_named(self._definition.job_types)
        return self._revisions[ref]

    def manifest(self, ref: JobTypeRef) -> Manifest:
        revision = self.revision(ref)
        if revision.pk not in self._manifests:
            self._manifests[revision.pk] = read_manifest(revision.manifest)
        return self._manifests[revision.pk]

    def policy(self, ref: JobTypeRef) -> Policy | None:
        """What jobs of it go by; where they run the recipe says."""
        job_type = self.revision(ref).job_type_id
        if job_type not in self._policies:
            self._policies[job_type] = policy_for(job_type, place_is_given=True)
        return self._policies[job_type]


class Wiring:
    """The inputs of a recipe's nodes, as far as they are there.

    `outputs`: what the jobs of its nodes have given, by the node's name; as `recipe_input` in the form of Job.output.
    """

    def __init__(self, definition: Definition, recipe_input: Document, outputs: Mapping[str, Document]) -> None:
        self._definition = definition
        self._input = recipe_input
        self._outputs = outputs

    def document(self, node: Node, interface: Interface) -> dict[str, Any]:
        """The node's input as JSON; what is not there is left out."""
        found: dict[str, dict[str, Any]] = {FILES: {}, JSON: {}}
        for parameter in interface.inputs:
            connection = node.input.get(parameter.name)
            value = None if connection is None else self._value(connection, parameter.kind)
            if value is not None and value != ([] if parameter.kind == FILES else None):
                found[parameter.kind][parameter.name] = value
        return found

    def job_input(self, node: Node, manifest: Manifest) -> JobInput | None:
        """The node's input, or None when something that the job needs is not there."""
        interface = of_manifest(manifest)
        try:
            return interface.read(self.document(node, interface))
        except InvalidRequest:
            return None

    def is_accepted(self, node: Node) -> bool:
        """What a condition finds."""
        assert isinstance(node.what, Condition)
        given = self.document(node, node.what.interface)
        facts = facts_of(i for ids in given[FILES].values() for i in ids)
        files = {name: [facts[i] for i in ids if i in facts] for name, ids in given[FILES].items()}
        return node.what.filters.accept(files, given[JSON])

    def _value(self, connection: Connection, kind: Kind) -> Any:
        if connection.node is None:
            return self._input.get(kind, {}).get(connection.source)
        node = self._definition.nodes[connection.node]
        if isinstance(node.what, Condition):
            # A condition hands on what it was given.
            through = node.input.get(connection.source)
            return None if through is None else self._value(through, kind)
        return self._outputs.get(connection.node, {}).get(kind, {}).get(connection.source)


def facts_of(ids: Iterable[int]) -> dict[int, FileFacts]:
    """What conditions may ask of files, by id."""
    rows = File.objects.filter(pk__in=set(ids)).values_list("pk", "name", "media_type")
    return {pk: FileFacts(name, media_type) for pk, name, media_type in rows}


def size_of(ids: Iterable[int]) -> dict[int, int]:
    """The sizes of files in bytes, by id."""
    return dict(File.objects.filter(pk__in=set(ids)).values_list("pk", "size"))
