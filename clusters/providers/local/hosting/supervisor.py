"""The supervisor of services: one process per host and root that has what is wanted run, until it is retired.

    python -m clusters.providers.local.hosting.supervisor --root DIR --memory-mib N --host ADDRESS [--isolated] ...

It stands beside the runner of jobs, is made of the same parts and belongs to nobody. Killed, or told to go by SIGTERM,
it leaves services running; the next client starts another, which goes on with them. It ends by itself only when
nothing is wanted and nobody connected. Clients speak JSON lines on ROOT/runner.sock, and each is answered under its
"re":

    {"op": "provision" | "reconfigure", "name", "wish": {"revision", "command", "env", "memory_mib",
                                                         "ports": [[number, "tcp" | "udp"], ...], "check": {...}}}
    {"op": "retire" | "observe", "names": [...]}   {"op": "standing"}   {"op": "status"}   {"op": "leave"}
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from clusters.providers.local import resident, sessions
from clusters.providers.local.hosting.loop import Limits, Supervisor
from clusters.providers.local.hosting.runs import Options


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervisor", description="Keeps services running on this machine.")
    parser.add_argument("--root", required=True, type=os.path.realpath)
    parser.add_argument("--memory-mib", required=True, type=int)
    parser.add_argument("--host", required=True, help="the address that ports are chosen on")
    parser.add_argument("--isolated", dest="is_isolated", action="store_true")
    parser.add_argument("--readable", action="append", default=[], help="shown to isolated commands")
    parser.add_argument("--hidden", action="append", default=[], help="covered where isolated commands would see it")
    parser.add_argument("--log-cap-bytes", required=True, type=int)
    parser.add_argument("--grace-seconds", required=True, type=float)
    parser.add_argument("--give-up-after", required=True, type=int)
    parser.add_argument("--idle-exit-seconds", required=True, type=float)
    parser.add_argument("--kept-seconds", required=True, type=float)
    parser.add_argument("--detach", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor, or leave at once when there is one."""
    parsed = _options(arguments)
    resident.become_plain()
    os.makedirs(parsed.root, 0o700, exist_ok=True)
    options = Options(**{name: getattr(parsed, name) for name in Options._fields})
    limits = Limits(**{name: getattr(parsed, name) for name in Limits._fields})

    def serve(listener: socket.socket) -> None:
        Supervisor(options, limits, listener, sessions.boot_id()).serve()

    return resident.run(options.root, "supervisor", serve, detach=parsed.detach)


if __name__ == "__main__":
    sys.exit(main())
