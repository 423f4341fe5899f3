"""The tables of jobs. See README.md of this app for the nouns and their invariants."""

from jobs.models.engine import Beat, Gate, Hold, Lane, Place, RunsFor, Scope
from jobs.models.job import MAX_PRIORITY, Category, Error, Execution, Job, Priority, Shape
from jobs.models.operation import Kind, LoadSample, Operation, OperationFailure

__all__ = [
    "MAX_PRIORITY",
    "Beat",
    "Category",
    "Error",
    "Execution",
    "Gate",
    "Hold",
    "Job",
    "Kind",
    "Lane",
    "LoadSample",
    "Operation",
    "OperationFailure",
    "Place",
    "Priority",
    "RunsFor",
    "Scope",
    "Shape",
]
