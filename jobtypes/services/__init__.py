"""Every write of job types."""

from jobtypes.services.errors import create_error, update_error

__all__ = ["create_error", "update_error"]
