"""cpctl: the control plane from a terminal, over its public HTTP API and nothing else of it."""
