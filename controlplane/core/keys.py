"""The private file that holds a development deployment's keys."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def development_keys(path: Path) -> dict[str, str]:
    """The keys kept in `path`, made on first use.

    The file is made complete under another name and then linked into place, so that two processes
    that start together agree on one, and nobody reads half a file. Only its owner may read it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"SECRET_KEY": secrets.token_urlsafe(64), "ENCRYPTION_KEY": Fernet.generate_key().decode()}, file)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    keys: dict[str, str] = json.loads(path.read_text())
    return keys
