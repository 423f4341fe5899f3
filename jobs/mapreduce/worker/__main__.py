"""Runs one task: `python -I -S jobs/mapreduce/worker task.json`, from a checkout or a copy of this folder alone."""

import sys

if not __package__:
    # Run as a folder: its modules know each other by relative names, which ask for a package around them.
    package = type(sys)("worker")
    package.__path__ = [sys.path.pop(0)]
    sys.modules["worker"] = package
    __package__ = "worker"

from .run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
