"""Which server, and with which token: from the environment, or as `cpctl login` has stored them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from controlplane.cli.errors import ExitCode, Failure

SERVER: Final = "CPCTL_SERVER"
TOKEN: Final = "CPCTL_TOKEN"  # noqa: S105 - the variable's name
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Login:
    """A server's base URL, without a slash at the end, and a token for it. Empty is not known."""

    server: str = ""
    token: str = ""

    def __repr__(self) -> str:
        # Never the token, wherever this may be printed.
        return f"Login({self.server!r})"


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a login is stored. The XDG rule: a folder that is not absolute counts as not given."""
    given = Path(environ.get("XDG_CONFIG_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".config") / "cpctl" / "config.json"


def stored() -> Login:
    """What the last `cpctl login` has stored. Raises Failure when the file cannot be read."""
    path = config_file()
    try:
        kept = json.loads(path.read_text())
        return Login(str(kept["server"]), str(kept["token"]))
    except FileNotFoundError:
        return Login()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(ExitCode.NOT_ALLOWED, f"{path} cannot be read ({error}): run cpctl login") from error


def present(environ: Mapping[str, str] = os.environ) -> Login:
    """The login to use. Raises Failure when the server or the token is not known.

    A stored token is sent to the server that it was stored for and to no other: CPCTL_SERVER alone must
    not hand it to somebody else.
    """
    server, token = environ.get(SERVER, ""), environ.get(TOKEN, "")
    kept = Login() if server and token else stored()
    server = server_url(server) if server else kept.server
    if not server:
        raise Failure(ExitCode.NOT_ALLOWED, "not logged in: run cpctl login")
    if not token and server == kept.server:
        token = kept.token
    if not token:
        raise Failure(ExitCode.NOT_ALLOWED, f"not logged in to {server}: run cpctl login, or set {TOKEN}")
    return Login(server, checked_token(token))


def server_url(text: str) -> str:
    """A server's address in the one form that is compared and stored. Raises Failure."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"server: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Failure(ExitCode.USAGE, "server: this is an address such as https://compute.example.com")
    if parts.username is not None or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise Failure(ExitCode.USAGE, "server: this is an address without user, password, query or spaces")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def checked_token(text: str) -> str:
    """A token that can stand in a header. Raises Failure, which does not show it."""
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise Failure(ExitCode.USAGE, "token: this is one word of printable ASCII characters")
    return text


def is_in_the_clear(server: str) -> bool:
    """Whether a token travels to `server` where others can read it."""
    parts = urlsplit(server)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def store(login: Login) -> Path:
    """Keep a login for the next commands, readable by this user only.

    The file is new, with its mode from its first moment, and takes the old one's place at once: nobody
    who had the old one open, and no link put in its place, gets to the token.
    """
    path = config_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".config.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump({"server": login.server, "token": login.token}, file)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
    except OSError as error:
        raise Failure(ExitCode.NOT_ALLOWED, f"{path} cannot be written: {error.strerror}") from error
    return path


def forget() -> bool:
    """Remove what was stored; whether there was anything."""
    try:
        config_file().unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Failure(ExitCode.NOT_ALLOWED, f"{config_file()} cannot be removed: {error.strerror}") from error
    return True
