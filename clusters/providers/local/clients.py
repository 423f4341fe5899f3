"""The runner's side of its socket: any number of clients, JSON lines both ways, none of them can hold it up."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable

from clusters.providers.local.line import Malformed

_RECEIVED_AT_ONCE = 1 << 18
_LINE_BYTES = 64 << 20
_BACKLOG_BYTES = 1 << 20

Message = dict[str, object]
Handle = Callable[["Client", Message], None]


class Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = bytearray()
        self.unsent = bytearray()
        self.is_deaf = False  # it has hung up, but what it said before is still to be read


class Clients:
    """All connections. `handle` gets each message; it raises Malformed to have its sender dropped."""

    def __init__(self, selector: selectors.BaseSelector, listener: socket.socket, handle: Handle) -> None:
        self._selector = selector
        self._listener = listener
        self._handle = handle
        self._clients: set[Client] = set()
        self._untold: list[object] = []
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def __len__(self) -> int:
        return len(self._clients)

    def tell_first(self, events: list[object]) -> None:
        """Keep `events` for whoever comes first: nobody is here yet."""
        self._untold = events

    def tell(self, events: list[object]) -> None:
        """Send `events` to every client."""
        line = _line({"events": events})
        for client in list(self._clients):
            self._send(client, line)

    def answer(self, client: Client, message: Message) -> None:
        """Send `message` to one client."""
        self._send(client, _line(message))

    def _accept(self, _mask: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # it has gone again, or we are out of file descriptors
            return
        sock.setblocking(False)
        client = Client(sock)
        self._clients.add(client)
        self._selector.register(sock, selectors.EVENT_READ, lambda mask: self._serve(client, mask))
        if self._untold:
            self._send(client, _line({"events": self._untold}))
            self._untold = []

    def _serve(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._send(client, b"")
        if mask & selectors.EVENT_READ:
            self._receive(client)

    def _receive(self, client: Client) -> None:
        try:
            piece = client.socket.recv(_RECEIVED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            piece = b""
        if not piece:
            return self._drop(client)
        client.received += piece
        if b"\n" not in piece:
            if len(client.received) > _LINE_BYTES:
                self._drop(client)
            return None
        *lines, rest = client.received.split(b"\n")
        client.received = rest
        try:
            for line in lines:
                self._handle(client, _message(line))
        except Malformed as error:
            print(f"a client was dropped: {error}", flush=True)
            self._drop(client)

    def _send(self, client: Client, line: bytes) -> None:
        """Send what can be sent now. One that does not read is dropped: the folders tell it the same."""
        if client not in self._clients or client.is_deaf:
            return None
        client.unsent += line
        try:
            del client.unsent[: client.socket.send(client.unsent, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            pass  # full: the selector tells when to go on
        except OSError:
            client.is_deaf = True
            client.unsent.clear()
        if len(client.unsent) > _BACKLOG_BYTES:
            return self._drop(client)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        key = self._selector.get_key(client.socket)
        if key.events != wanted:
            self._selector.modify(client.socket, wanted, key.data)
        return None

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()


def _line(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _message(line: bytes | bytearray) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    if not isinstance(message, dict):
        raise Malformed("not an object")
    return message
