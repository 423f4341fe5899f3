"""The native views of jobs, by resource."""
