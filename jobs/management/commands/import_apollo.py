"""Take over the programs of an Apollo coordinator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from accounts.errors import UserNotFound
from accounts.models import Role, User
from accounts.queries import first_user_of, user_called
from controlplane.core.errors import InvalidRequest
from controlplane.core.importing import ImportCommand, Outcome, Report
from controlplane.core.storage import TooBig
from jobs.models import Protocol
from jobs.queries.artifacts import own_artifacts
from jobs.services.artifacts import check_name, max_artifact_bytes, put_artifact

PIECE_BYTES: Final = 2**20


class Command(ImportCommand):
    help = (
        "Takes over the programs in an Apollo coordinator's ARTIFACTS_PATH, each under its file's name, as artifacts "
        "of a customer or of the staff. Doing it again takes over only what has other bytes: as a new version."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("folder", type=Path, help="Apollo's ARTIFACTS_PATH, or a copy of it")
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--customer", help="whose they are to be; its first user owns them")
        whose.add_argument("--owner", help="the user who owns them; those of admins and operators are the staff's")

    def take_over(self, report: Report, dry_run: bool, options: dict[str, Any]) -> None:
        owner = _owner(options)
        try:
            files = sorted(options["folder"].iterdir())
        except OSError as error:
            raise CommandError(f"{options['folder']}: {error.strerror}") from error
        for file in files:
            if file.is_symlink() or not file.is_file():
                report.tell(Outcome.LEFT, "artifact", repr(file.name), "it is no file")
                continue
            with report.attempt("artifact", repr(file.name)):
                _take(file, owner, report, dry_run)


def _owner(options: dict[str, Any]) -> User:
    try:
        return first_user_of(options["customer"]) if options["customer"] else user_called(options["owner"])
    except UserNotFound as error:
        raise CommandError(error.message) from error


def _take(file: Path, owner: User, report: Report, dry_run: bool) -> None:
    check_name(file.name)
    try:
        digest, size = _measure(file)
        if size > max_artifact_bytes():
            raise TooBig(max_artifact_bytes())
        if size == 0:
            raise InvalidRequest("The program is empty.")
        here = own_artifacts(owner).filter(name=file.name).first()
        if here is not None and here.sha256 == digest:
            report.tell(Outcome.KEPT, "artifact", repr(file.name))
            return
        if not dry_run:
            put_artifact(actor=owner, name=file.name, source=_pieces(file), protocol=Protocol.APOLLO)
    except OSError as error:
        raise InvalidRequest(f"It cannot be read: {error.strerror}.") from error
    outcome = Outcome.NEW if here is None else Outcome.CHANGED
    whose = owner.customer.name if owner.role == Role.CUSTOMER and owner.customer else "the staff"
    report.tell(outcome, "artifact", repr(file.name), f"{size} bytes, of {whose}")


def _measure(file: Path) -> tuple[str, int]:
    """SHA-256 and size, which is bounded: a byte more than an artifact may have says enough."""
    found, size = hashlib.sha256(), 0
    for piece in _pieces(file):
        found.update(piece)
        size += len(piece)
        if size > max_artifact_bytes():
            break
    return found.hexdigest(), size


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(PIECE_BYTES):
            yield piece
