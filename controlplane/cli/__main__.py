"""`python -m controlplane.cli`."""

from __future__ import annotations

from controlplane.cli.app import main

if __name__ == "__main__":
    main()
