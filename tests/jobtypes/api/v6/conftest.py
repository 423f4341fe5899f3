"""The people who call, and the check of every answer against the schema: the same as for the jobs' resources."""

from __future__ import annotations

from tests.jobs.api.v6.conftest import _answers_fit_the_schema, people  # noqa: F401 - fixtures
