"""Job types, recipe types, workspaces and errors in the admin."""

from jobtypes.admin import errors, recipe_types, workspaces

__all__ = ["errors", "recipe_types", "workspaces"]
