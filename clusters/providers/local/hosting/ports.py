"""Ports of this machine, for runs that listen on them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Mapping, Sequence

_TRIES = 100
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Ports:
    """Gives each run free ports of its own. Two never have the same, also when neither listens yet."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._family = family(host)
        self._taken: set[int] = set()

    def take(self, wanted: Mapping[int, Sequence[str]]) -> dict[int, int]:
        """One port here for each number, free for all protocols of it. OSError when there is none."""
        found: dict[int, int] = {}
        try:
            for number, protocols in wanted.items():
                found[number] = self._free(protocols)
                self._taken.add(found[number])
        except OSError:
            self.give_back(found.values())
            raise
        return found

    def keep(self, ports: Iterable[int]) -> None:
        """Those a run has that was found running."""
        self._taken.update(ports)

    def give_back(self, ports: Iterable[int]) -> None:
        """Those of a run that is over."""
        self._taken.difference_update(ports)

    def _free(self, protocols: Sequence[str]) -> int:
        for _ in range(_TRIES):
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                port = 0  # of the first the system chooses one, and the others have to be free as well
                for protocol in protocols:
                    bound = stack.enter_context(socket.socket(self._family, _KINDS[protocol]))
                    bound.bind((self.host, port))
                    port = int(bound.getsockname()[1])
                if port not in self._taken:
                    return port
        raise OSError(errno.EADDRINUSE, f"no free port on {self.host}: {os.strerror(errno.EADDRINUSE)}")


def family(host: str) -> socket.AddressFamily:
    """Of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def environment(ports: Mapping[int, int]) -> dict[str, str]:
    """What a program is told of its ports: `PORT_<number>`, and `PORT` for the first."""
    told = {f"PORT_{number}": str(port) for number, port in ports.items()}
    return {**told, "PORT": str(next(iter(ports.values())))} if ports else told
