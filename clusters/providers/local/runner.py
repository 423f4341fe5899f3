"""The local runner: one process per host that starts commands, waits for them and tells how they end.

    python -m clusters.providers.local.runner --root DIR --vcpus-milli N --memory-mib N --log-cap-bytes N

It belongs to nobody: web workers and schedulers come and go, it stays until it is told to leave or is
idle with nobody connected. Killed, it is started again by the next client, and ends what it had left
running (`recovery`). Clients speak JSON lines on ROOT/runner.sock:

    to the runner   {"op": "run", "works": [{"id", "command", "env", "vcpus_milli", "memory_mib",
                                             "timeout_seconds", "priority", "isolate"}, ...]}
                    {"op": "cancel", "ids": [...]}   {"op": "status"}   {"op": "leave"}
    to all clients  {"events": [{"id", "started", "node"}, {"id", "ended", "code", "end", "detail", ...}, ...]}
    to the asker    {"status": {"pid", "running", "waiting", "vcpus_milli_used"}}

Environments may hold secrets: they come over the socket, go to the command, and are never written down.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from clusters.providers.local import folders, resident, sessions
from clusters.providers.local.loop import Options, Runner

GRACE_SECONDS = 5.0
IDLE_EXIT_SECONDS = 60.0
LOG_CAP_BYTES = 64 << 20


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner", description="Starts commands on this machine.")
    parser.add_argument("--root", required=True, type=os.path.realpath)
    parser.add_argument("--vcpus-milli", required=True, type=int)
    parser.add_argument("--memory-mib", required=True, type=int)
    parser.add_argument("--log-cap-bytes", type=int, default=LOG_CAP_BYTES)
    parser.add_argument("--readable", action="append", default=[], help="shown to isolated commands")
    parser.add_argument("--hidden", action="append", default=[], help="covered where isolated commands would see it")
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    parser.add_argument("--idle-exit-seconds", type=float, default=IDLE_EXIT_SECONDS)
    parser.add_argument("--detach", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the runner, or leave at once when there is one."""
    options = _options(arguments)
    resident.become_plain()
    folders.make_root(options.root)

    def serve(listener: socket.socket) -> None:
        wishes = {name: getattr(options, name) for name in Options._fields}
        Runner(Options(**wishes), listener, sessions.boot_id()).serve()

    return resident.run(options.root, "runner", serve, detach=options.detach)


if __name__ == "__main__":
    sys.exit(main())
