"""Reads of job types, recipe types and workspaces."""
