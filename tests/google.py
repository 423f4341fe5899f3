"""Google for tests: keys of our own, and ID tokens signed with them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from google.auth import crypt, exceptions, jwt

from accounts.api import google

CLIENT: Final = "ours.apps.googleusercontent.com"


@cache
def _keys(name: str) -> tuple[bytes, bytes]:
    """A private and a public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, form)


def credential(key: str = "google", **more: Any) -> str:
    """An ID token, as Google makes them, with `more` in place of what it says."""
    now = int(time.time())
    told = {
        "iss": "https://accounts.google.com", "aud": CLIENT, "sub": "1104", "email": "ada@example.com",
        "email_verified": True, "iat": now, "exp": now + 3600, **more,
    }  # fmt: skip
    signer = crypt.RSASigner.from_string(_keys(key)[0], "k1")
    return jwt.encode(signer, told).decode()


@dataclass
class _Answer:
    status: int
    data: bytes


def stand_in(monkeypatch: pytest.MonkeyPatch, *, status: int = 200, broken: bool = False) -> list[str]:
    """Answer for Google's keys from here on; returns the addresses that were asked for."""
    asked: list[str] = []

    def fetch(url: str, method: str = "GET", **more: Any) -> _Answer:
        asked.append(url)
        if broken:
            raise exceptions.TransportError("out of reach")
        return _Answer(status, json.dumps({"k1": _keys("google")[1].decode()}).encode())

    monkeypatch.setattr(google, "transport", lambda: fetch)
    monkeypatch.setattr(settings, "GOOGLE_CLIENT_ID", CLIENT)
    return asked
