"""What is peculiar to Azure Blob: who may, what is there, names, keys."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import Storage, StorageRefused, StorageUnavailable, open_storage
from controlplane.core.storage.azure_blob import account_of
from controlplane.core.storage.base import PART_BYTES
from tests.controlplane.storage.test_s3 import everything, said
from tests.postgresql import free_port
from tests.servers import AZURITE_ACCOUNT, AZURITE_KEY, Azurite

WRONG_KEY = base64.b64encode(b"not the key of this account").decode()

with_azurite = pytest.mark.needs("azurite")


def opened(azurite: Azurite, container: str, **members: object) -> Storage:
    return open_storage(azurite.configuration(container, **members), allowed_endpoints=[azurite.account_url])


@with_azurite
def test_a_wrong_key_is_refused_in_words_without_it(azurite: Azurite) -> None:
    credentials = {"account_name": AZURITE_ACCOUNT, "account_key": WRONG_KEY}
    storage = opened(azurite, azurite.make_container(), credentials=credentials)
    for use in everything(storage):
        with pytest.raises(StorageRefused, match="refuses these credentials") as caught:
            use()
        assert WRONG_KEY not in said(caught.value)


@with_azurite
def test_a_container_that_is_not_there_is_named(azurite: Azurite) -> None:
    for use in everything(opened(azurite, "no-such-container")):
        with pytest.raises(StorageRefused, match="no container no-such-container"):
            use()


def test_a_server_that_is_not_there_can_be_tried_again() -> None:
    azurite = Azurite(f"http://127.0.0.1:{free_port()}/{AZURITE_ACCOUNT}")
    with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
        opened(azurite, "container").check()
    assert AZURITE_KEY not in said(caught.value)


@with_azurite
def test_of_two_uploads_at_once_one_wins_whole(azurite: Azurite) -> None:
    storage = opened(azurite, azurite.make_container())

    def source() -> Iterator[bytes]:
        yield bytes(PART_BYTES + 1)
        storage.put("file", [b"\1" * (PART_BYTES + 1)])
        yield bytes(1)

    with pytest.raises(StorageUnavailable, match="InvalidBlock"):
        storage.put("file", source())
    assert set(b"".join(storage.get("file"))) == {1}


@with_azurite
def test_an_address_to_write_at_is_for_one_file_and_not_for_reading(azurite: Azurite) -> None:
    storage = opened(azurite, azurite.make_container())
    address = storage.upload_url("file", 60)
    assert address is not None
    for url, method in ((address.url.replace("/file?", "/other?"), "PUT"), (address.url, "GET")):
        body = b"abc" if method == "PUT" else None
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(url, body, dict(address.headers), method=method))


def test_names_that_azure_would_change_are_refused() -> None:
    storage = opened(Azurite(f"http://127.0.0.1:1/{AZURITE_ACCOUNT}"), "container")
    for path in ("a.", "a./b"):
        with pytest.raises(InvalidRequest, match="dot") as caught:
            storage.put(path, [b"abc"])
        assert caught.value.field == "path"


def test_without_a_key_there_are_no_addresses() -> None:
    broker = {"type": "azure", "account_url": "https://acme.blob.core.windows.net", "container_name": "files"}
    assert open_storage({"broker": broker}).url("file", 60) is None
    assert open_storage({"broker": broker}).upload_url("file", 60) is None


def test_the_account_is_named_by_its_address() -> None:
    assert account_of("https://acme.blob.core.windows.net") == "acme"
    assert account_of("http://127.0.0.1:10000/devstoreaccount1") == "devstoreaccount1"
