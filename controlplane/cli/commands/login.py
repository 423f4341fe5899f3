"""`login`, `logout`, `whoami`."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated

import typer

from controlplane.cli import config, printing
from controlplane.cli.client import Client
from controlplane.cli.config import Login
from controlplane.cli.errors import Unreachable
from controlplane.cli.options import command
from controlplane.cli.session import Session

WHO = ("username", "role", "customer", "email", "server")


def register(app: typer.Typer) -> None:
    command(app, "login")(login)
    command(app, "logout")(logout)
    command(app, "whoami")(whoami)


def login(
    session: Session,
    *,
    server: Annotated[str | None, typer.Option(help="Address of the control plane; asked for if not given.")] = None,
    user: Annotated[str | None, typer.Option(help="User name; asked for if not given.")] = None,
    token: Annotated[bool, typer.Option("--token", help="Read a token from stdin instead of a password.")] = False,
) -> None:
    """Log in: with a user name and a password, or with a token from stdin.

    The password is asked for; where stdin is no terminal it is the first line of it. Server and token are kept
    in $XDG_CONFIG_HOME/cpctl/config.json, for this user only. CPCTL_SERVER and CPCTL_TOKEN go before them.
    """
    if token and user is not None:
        raise typer.BadParameter("A token says whose it is.", param_hint="--user")
    default = os.environ.get(config.SERVER) or config.stored().server
    chosen = config.server_url(server or _asked("Server", default))
    if config.is_in_the_clear(chosen):
        printing.note(f"warning: {chosen} is not encrypted; others on the way can read your token")
    text = _secret("Token") if token else _token_for(chosen, user or _asked("User", getpass.getuser()))
    fresh = Login(chosen, config.checked_token(text))
    me = Client(fresh).get("v6/users/me/")
    config.store(fresh)
    printing.note(f"Logged in to {chosen} as {me.get('username')} ({me.get('role')}).")
    if session.printer.as_json:
        session.printer.document(me)


def logout(session: Session) -> None:
    """Forget the stored login. The token itself stays valid: it can be archived with DELETE /v6/tokens/."""
    printing.note("Logged out." if config.forget() else "Nobody was logged in.")
    if session.printer.as_json:
        session.printer.document({})


def whoami(session: Session) -> None:
    """Show whose token is used, and where."""
    me = session.client.get("v6/users/me/")
    shown = me if session.printer.as_json else {**me, "server": session.client.login.server}
    session.printer.fields(shown, WHO)


def _token_for(server: str, user: str) -> str:
    body = {"username": user, "password": _secret("Password")}
    answer = Client(Login(server)).post("api-token-auth/", body)
    if not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
        raise Unreachable(f"{server} gave no token: is this the address of a control plane?")
    return str(answer["token"])


def _asked(what: str, default: str) -> str:
    if not sys.stdin.isatty():
        if what == "Server" and default:
            return default
        raise typer.BadParameter("Needed where stdin is no terminal.", param_hint=f"--{what.lower()}")
    return str(typer.prompt(what, default=default or None, err=True))


def _secret(what: str) -> str:
    """A secret that is not shown while it is typed, or the first line of a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ")
    return sys.stdin.readline().rstrip("\r\n")
