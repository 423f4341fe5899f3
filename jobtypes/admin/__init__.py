"""Job types, recipe types, workspaces and errors in the admin."""

from jobtypes.admin import errors

__all__ = ["errors"]
