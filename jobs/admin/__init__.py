"""Jobs and their steering in the admin: lists, a job's page as its story, and buttons that call services."""

from jobs.admin import errors, executions, gates, jobs, operations, places

__all__ = ["errors", "executions", "gates", "jobs", "operations", "places"]
