"""What every command gets: the client for the present login, and the form that answers are to have."""

from __future__ import annotations

from functools import cached_property

from controlplane.cli import config
from controlplane.cli.client import Client
from controlplane.cli.printing import Printer


class Session:
    """One call of cpctl. The login is read first when something is asked of the server."""

    def __init__(self) -> None:
        self.printer = Printer()

    @cached_property
    def client(self) -> Client:
        return Client(config.present())
