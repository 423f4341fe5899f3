"""Job types, recipe types, workspaces and errors in the admin."""

from jobtypes.admin import errors, recipe_types

__all__ = ["errors", "recipe_types"]
