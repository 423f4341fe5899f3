"""The supervisor's event loop: what is asked, what is due and what has ended."""

from __future__ import annotations

import math
import os
import selectors
import socket
import time
from typing import NamedTuple

from clusters.providers.local import folders, resident
from clusters.providers.local.clients import Client, Clients, Message
from clusters.providers.local.hosting import files
from clusters.providers.local.hosting.alarms import Alarms
from clusters.providers.local.hosting.room import Room
from clusters.providers.local.hosting.runs import Options, Runs
from clusters.providers.local.hosting.service import Service
from clusters.providers.local.hosting.wishes import wish
from clusters.providers.local.line import Malformed, execution_id

_LOOKS_PER_TURN = 32
_LOG_CHECK_SECONDS = 0.5
_SWEEP_SECONDS = 3600.0


class Limits(NamedTuple):
    """How one supervisor is to behave, besides its runs."""

    memory_mib: int
    give_up_after: int
    idle_exit_seconds: float
    kept_seconds: float


class Supervisor:
    """The event loop. Every method runs in its one thread and may not wait for anything."""

    def __init__(self, options: Options, limits: Limits, listener: socket.socket, boot: str) -> None:
        self._root = options.root
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._clients = Clients(self._selector, listener, self._handle)
        self._runs = Runs(options, self._selector, boot)
        self._room = Room(limits.memory_mib, self._change)
        self._services: dict[str, Service] = {}
        self._changed: dict[str, None] = {}
        self._alarms = Alarms()
        self._leaving = False
        self._trimmed_at = self._busy_at = time.monotonic()
        self._swept_at = -math.inf
        self._wake = resident.wake_on_signals()
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)

    def serve(self) -> None:
        """Work until nothing is wanted any more, or told to leave. What runs goes on."""
        self._adopt()
        while not self._is_done():
            for key, mask in self._selector.select(self._wait_seconds()):
                key.data(mask)
            self._turn()

    def _adopt(self) -> None:
        """Go on where another supervisor, or the machine, was stopped. What was provisioned first is first."""
        records = []
        for name in files.names(self._root):
            try:
                record = files.read_record(self._folder(name))
            except (Malformed, OSError) as error:  # it stays as it is, for somebody to look at
                print(f"{name}: {error}", flush=True)
                continue
            if record is not None:
                records.append((record.since, name, record))
        orphans: dict[str, folders.Started] = {}
        for _, name, record in sorted(records, key=lambda each: each[:2]):
            orphans.update(self._add(name, record).adopt())
        self._runs.bury(orphans)
        self._change([*self._services])

    def _add(self, name: str, record: files.Record) -> Service:
        service = self._services[name] = Service(
            self._folder(name),
            self._runs,
            self._room,
            self._limits.give_up_after,
            lambda: self._change([name]),
            record,
        )
        return service

    def _change(self, names: list[str]) -> None:
        self._changed.update(dict.fromkeys(names))

    def _folder(self, name: str) -> str:
        return f"{self._root}/{name}"

    # Turn by turn

    def _turn(self) -> None:
        self._runs.reap()
        self._change(self._alarms.due(time.monotonic()))
        for name in list(self._changed)[:_LOOKS_PER_TURN]:
            del self._changed[name]
            self._look(name)
        now = time.monotonic()
        self._runs.turn(now)
        if now - self._trimmed_at >= _LOG_CHECK_SECONDS:
            self._trimmed_at = now
            self._runs.trim()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._swept_at = now
            self._sweep()

    def _look(self, name: str) -> None:
        service = self._services.get(name)
        if service is None:
            return
        due = service.look(time.monotonic())
        if service.is_gone:
            del self._services[name]
            due = math.inf
        self._alarms.set(name, due)

    def _wait_seconds(self) -> float:
        if self._changed:
            return 0.0
        waits = [self._alarms.next(), self._runs.wait_until(), self._swept_at + _SWEEP_SECONDS]
        if not self._runs.are_done:
            waits.append(self._trimmed_at + _LOG_CHECK_SECONDS)
        if not self._services:
            waits.append(time.monotonic() + self._limits.idle_exit_seconds)
        return max(0.0, min(waits) - time.monotonic())

    def _is_done(self) -> bool:
        if self._leaving:
            return True
        if self._services or self._clients or not self._runs.are_done:
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at >= self._limits.idle_exit_seconds

    def _woken(self, _mask: int) -> None:
        if resident.is_asked_to_go(self._wake):
            self._leaving = True

    def _sweep(self) -> None:
        """Delete the output of services that have been gone for long."""
        for name in files.names(self._root):
            folder = self._folder(name)
            if name in self._services or files.stands(folder):
                continue
            if os.stat(folder).st_mtime < time.time() - self._limits.kept_seconds:
                self._runs.forget(folder)

    # What clients ask

    def _handle(self, client: Client, message: Message) -> None:
        try:
            answer = self._do(message)
        except OSError as error:  # a full disk
            answer = {"failed": f"it cannot be noted: {error}"}
        self._clients.answer(client, {**answer, "re": message.get("re")})

    def _do(self, message: Message) -> Message:
        match message.get("op"):
            case "provision":
                return self._provision(execution_id(message.get("name")), message.get("wish"))
            case "reconfigure":
                return self._reconfigure(execution_id(message.get("name")), message.get("wish"))
            case "retire":
                for name in _names(message):
                    if service := self._services.get(name):
                        service.retire()
                return {}
            case "observe":
                now = time.monotonic()
                return {"seen": {name: self._services[name].seen(now) for name in _names(message) if self._has(name)}}
            case "standing":
                return {"names": [name for name, service in self._services.items() if not service.is_retired]}
            case "status":
                return {"pid": os.getpid(), "memory_mib_used": self._room.used_mib, "standing": len(self._services)}
            case "leave":
                self._leaving = True
                return {}
            case _:
                raise Malformed("no such op")

    def _has(self, name: str) -> bool:
        return name in self._services

    def _provision(self, name: str, text: object) -> Message:
        wanted = wish(text)
        if service := self._services.get(name):
            return {"not_yet": True} if service.is_retired else {}
        record = files.Record(time.time(), wanted)
        files.write_record(self._folder(name), record)
        self._add(name, record)
        self._change([name])
        return {}

    def _reconfigure(self, name: str, text: object) -> Message:
        wanted = wish(text)
        service = self._services.get(name)
        if service is None or service.is_retired:
            return {"not_found": True}
        service.configure(wanted)
        return {}


def _names(message: Message) -> list[str]:
    names = message.get("names")
    if not isinstance(names, list):
        raise Malformed("not a list")
    return [execution_id(name) for name in names]
