from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from controlplane.core.encryption import SecretUnreadable, decrypt, encrypt

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_was_encrypted_comes_back(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    value = {"TOKEN": "geheim", "ÄPFEL": 'drei "rote"\n', "empty": ""}
    assert decrypt(encrypt(value)) == value


def test_nothing_stays_empty_text() -> None:
    assert encrypt({}) == ""
    assert decrypt("") == {}


def test_the_text_tells_neither_name_nor_value(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    text = encrypt({"PASSWORD": "geheim"})
    assert "PASSWORD" not in text
    assert "geheim" not in text
    assert encrypt({"PASSWORD": "geheim"}) != text


def test_a_new_key_in_front_encrypts_and_the_old_one_still_decrypts(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    kept = encrypt({"a": "1"})
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(kept) == {"a": "1"}
    fresh = encrypt({"a": "2"})
    settings.ENCRYPTION_KEYS = [NEW]
    assert decrypt(fresh) == {"a": "2"}
    with pytest.raises(SecretUnreadable):
        decrypt(kept)


def test_a_changed_text_is_refused(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    text = encrypt({"a": "1"})
    middle = len(text) // 2
    with pytest.raises(SecretUnreadable):
        decrypt(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
