"""What a machine boots with: cloud-init's multipart text. Nothing here calls AWS."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Final

from clusters.providers.base import Work
from clusters.providers.errors import Refused

MAX_BYTES: Final = 16 << 10  # of EC2, before it is encoded for the call
FILE: Final = "/etc/controlplane/job.env"
# By the words that a text begins with, as cloud-init reads them; longer ones first.
_KINDS: Final = (
    ("#cloud-config-archive", "cloud-config-archive"),
    ("#cloud-config", "cloud-config"),
    ("#cloud-boothook", "cloud-boothook"),
    ("#include-once", "x-include-once-url"),
    ("#include", "x-include-url"),
    ("#part-handler", "part-handler"),
    ("## template: jinja", "jinja2"),
    ("#!", "x-shellscript"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS: Final = 16


def user_data(work: Work) -> bytes:
    """Two parts: a script that writes the work's environment to FILE, for root only, and the work's own as it is.

    Ours is a boot hook: it runs before all else that cloud-init does, and is not merged with a configuration in the
    other. The same work gives the same bytes. Raises Refused for what cloud-init would not take, or EC2 find too long.
    """
    own = work.user_data
    names = "".join(f"{name}\0{value}\0" for name, value in work.env.items())
    mark = hashlib.sha256(f"{names}\0{own}".encode()).hexdigest()[:_DIGITS]
    whole = MIMEMultipart(boundary=f"=={mark}==")
    whole.attach(_part(_writing(work.env, f"END-{mark}"), "cloud-boothook"))
    if own:
        whole.attach(_part(own, _kind(own)))
    data = whole.as_bytes()
    if len(data) > MAX_BYTES:
        raise Refused(f"user_data is too long: EC2 takes {MAX_BYTES} bytes, with the environment these are {len(data)}")
    return data


def _kind(text: str) -> str:
    for begin, kind in _KINDS:
        if text.startswith(begin):
            return kind
    known = ", ".join(begin for begin, _ in _KINDS)
    raise Refused(f"user_data begins with nothing that cloud-init knows; it takes {known}")


def _part(text: str, kind: str) -> MIMEText:
    """Plain where that changes no byte of it; else encoded, which makes it a third longer."""
    plain = text.isascii() and "\r" not in text
    return MIMEText(text, kind, "us-ascii" if plain else "utf-8")


def _writing(env: Mapping[str, str], end: str) -> str:
    lines = []
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise Refused(f"env: {name!r} is no name that a shell could read from {FILE}")
        lines.append(f"{name}={shlex.quote(value)}")
    folder = FILE.rpartition("/")[0]
    script = ["#cloud-boothook", "#!/bin/sh", "umask 077", f"mkdir -p {folder}", f"cat > {FILE} <<'{end}'", *lines, end]
    return "\n".join([*script, f"chmod 600 {FILE}", ""])
