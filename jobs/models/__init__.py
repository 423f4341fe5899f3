"""The tables of jobs. See README.md of this app for the nouns and their invariants."""

from jobs.models.artifact import Artifact, ArtifactVersion, Protocol
from jobs.models.count import CountDelta, JobCount
from jobs.models.engine import SPENT_SCOPES, Beat, Gate, Hold, Lane, Place, RunsFor, Scope, SpendGate
from jobs.models.failure import Failure, FailureCluster, FailureCount, Span
from jobs.models.file import File, FileType
from jobs.models.job import MAX_PRIORITY, MOST_EXECUTIONS, STAGED, TASKS, Execution, Job, Priority, Shape
from jobs.models.mapreduce import MapReduceSpec
from jobs.models.operation import Kind, LaneCount, LoadSample, Operation, OperationFailure, ThroughputSample
from jobs.models.policy import JobTypePolicy, Policy
from jobs.models.recipe import Outcome, Recipe, RecipeNode
from jobs.models.submission import Submission

__all__ = [
    "MAX_PRIORITY",
    "MOST_EXECUTIONS",
    "SPENT_SCOPES",
    "STAGED",
    "TASKS",
    "Artifact",
    "ArtifactVersion",
    "Beat",
    "CountDelta",
    "Execution",
    "Failure",
    "FailureCluster",
    "FailureCount",
    "File",
    "FileType",
    "Gate",
    "Hold",
    "Job",
    "JobCount",
    "JobTypePolicy",
    "Kind",
    "Lane",
    "LaneCount",
    "LoadSample",
    "MapReduceSpec",
    "Operation",
    "OperationFailure",
    "Outcome",
    "Place",
    "Policy",
    "Priority",
    "Protocol",
    "Recipe",
    "RecipeNode",
    "RunsFor",
    "Scope",
    "Shape",
    "Span",
    "SpendGate",
    "Submission",
    "ThroughputSample",
]
