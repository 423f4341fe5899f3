"""What the local provider's runtimes have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from clusters.providers.base import Provider, Streaming


class Runtime(Provider, Streaming):
    """A way to run jobs on this machine. What it starts outlives the process that started it.

    Whoever hands over work should call `read` when `fileno` is readable.
    """

    cloud: ClassVar[str] = "local"

    @abstractmethod
    def leave(self) -> None:
        """This machine stops: let go of all that is not needed by what runs."""

    @abstractmethod
    def close(self) -> None:
        """Hang up. What runs goes on."""
