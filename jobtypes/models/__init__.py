"""The tables of job types. See README.md of this app for the nouns and their invariants."""

from jobtypes.models.error import Category, Error
from jobtypes.models.job_type import JobType, JobTypeRevision, JobTypeTag, SecretSetting
from jobtypes.models.recipe_type import RecipeType, RecipeTypeNode, RecipeTypeRevision
from jobtypes.models.workspace import Workspace

__all__ = [
    "Category",
    "Error",
    "JobType",
    "JobTypeRevision",
    "JobTypeTag",
    "RecipeType",
    "RecipeTypeNode",
    "RecipeTypeRevision",
    "SecretSetting",
    "Workspace",
]
