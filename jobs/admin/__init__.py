"""Jobs and their steering in the admin: lists, a job's page as its story, and buttons that call services."""

from jobs.admin import artifacts, executions, failures, files, gates, job_types, jobs, operations, places, recipes

__all__ = [
    "artifacts",
    "executions",
    "failures",
    "files",
    "gates",
    "job_types",
    "jobs",
    "operations",
    "places",
    "recipes",
]
