"""Configurations of workspaces: what is taken, what is refused and where, and what is shown."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import (
    MASK,
    AzureBroker,
    HostBroker,
    S3Broker,
    masked,
    merge_secrets,
    open_storage,
    read_broker,
)

S3 = {"type": "s3", "bucket_name": "my_bucket.domain.com"}
S3_KEYS = {"access_key_id": "AKIA1234", "secret_access_key": "s3cr3t/+="}
AZURE = {"type": "azure", "account_url": "https://acme.blob.core.windows.net", "container_name": "in-1"}
AZURE_KEYS = {"account_key": "c2VjcmV0"}
OWN = "https://minio.example.com:9000"


def refused(broker: Any, **allowed: Any) -> str:
    """The field that is at fault."""
    with pytest.raises(InvalidRequest) as caught:
        read_broker({"broker": broker}, **allowed)
    assert caught.value.field is not None
    return caught.value.field.removeprefix("configuration.broker.")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (None, "configuration"),
        ([], "configuration"),
        ({}, "configuration.broker"),
        ({"broker": None}, "configuration.broker"),
        ({"broker": "s3"}, "configuration.broker"),
        ({"broker": {}}, "configuration.broker.type"),
        ({"broker": {"type": 7}}, "configuration.broker.type"),
        ({"broker": {"type": "ftp"}}, "configuration.broker.type"),
        ({"broker": S3, "version": "1.0"}, "configuration.version"),
        ({"broker": {**S3, "bucket": "x"}}, "configuration.broker.bucket"),
        ({"broker": {**S3, "host_path": "/mnt"}}, "configuration.broker.host_path"),
    ],
)
def test_it_names_what_is_wrong(document: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_broker(document)
    assert caught.value.field == field


def test_it_reads_a_bucket() -> None:
    broker = {**S3, "region_name": "eu-west-1", "prefix": "a/b/", "sse": "AES256", "endpoint_url": OWN}
    read = read_broker({"broker": {**broker, "credentials": S3_KEYS}}, allowed_endpoints=[f"{OWN}/"])
    assert read == S3Broker("my_bucket.domain.com", "a/b", "eu-west-1", OWN, "AKIA1234", "s3cr3t/+=", "AES256")
    assert "s3cr3t" not in repr(read)
    assert read_broker({"broker": S3}) == S3Broker("my_bucket.domain.com")
    assert read_broker({"broker": {**S3, "credentials": None, "prefix": None}}) == S3Broker("my_bucket.domain.com")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bucket_name", None),
        ("bucket_name", ""),
        ("bucket_name", 7),
        ("bucket_name", "a/b"),
        ("bucket_name", ".."),
        ("bucket_name", "arn:aws:s3:::x"),
        ("bucket_name", "x" * 256),
        ("bucket_name", "name\n"),
        ("region_name", "evil.example.com/"),
        ("prefix", "../up"),
        ("prefix", "/"),
        ("prefix", ["a"]),
        ("sse", "rot13"),
        ("credentials", "AKIA"),
        ("credentials.access_key_id", None),
        ("credentials.secret_access_key", None),
        ("credentials.secret_access_key", MASK),
        ("credentials.secret_access_key", "line\nbreak"),
        ("credentials.token", "x"),
    ],
)
def test_it_refuses_a_bucket_that_is_none(name: str, value: Any) -> None:
    broker: dict[str, Any] = {**S3, "credentials": dict(S3_KEYS)}
    within = broker["credentials"] if name.startswith("credentials.") else broker
    within[name.removeprefix("credentials.")] = value
    assert refused(broker) == name


def test_it_reads_a_container() -> None:
    read = read_broker({"broker": {**AZURE, "prefix": "raw", "credentials": AZURE_KEYS}})
    assert read == AzureBroker(AZURE["account_url"], "in-1", "raw", None, "c2VjcmV0")
    assert "c2VjcmV0" not in repr(read)
    assert read_broker({"broker": AZURE}) == AzureBroker(AZURE["account_url"], "in-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account_url", None),
        ("account_url", "http://acme.blob.core.windows.net"),
        ("account_url", "https://acme.blob.core.windows.net.example.com"),
        ("account_url", "https://me@acme.blob.core.windows.net"),
        ("account_url", "https://[::1"),
        ("container_name", "In"),
        ("container_name", "a--b"),
        ("container_name", "ab"),
        ("container_name", "a/b"),
        ("prefix", "a//b"),
        ("credentials.account_name", "a.b"),
        ("credentials.account_key", None),
        ("credentials.account_key", "not base64"),
        ("credentials.account_key", MASK),
        ("credentials.sas", "x"),
    ],
)
def test_it_refuses_a_container_that_is_none(name: str, value: Any) -> None:
    broker: dict[str, Any] = {**AZURE, "credentials": dict(AZURE_KEYS)}
    within = broker["credentials"] if name.startswith("credentials.") else broker
    within[name.removeprefix("credentials.")] = value
    assert refused(broker) == name


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "https://minio.example.com",
        f"{OWN}0",
        f"{OWN}@evil.example.com",
        f"{OWN}/../x",
        f"{OWN}/?x",
        "file:///etc",
        "https://[",
    ],
)
def test_addresses_that_nobody_allowed_are_refused(url: str) -> None:
    assert refused({**S3, "endpoint_url": url}, allowed_endpoints=[OWN]) == "endpoint_url"
    assert refused({**AZURE, "account_url": url}, allowed_endpoints=[OWN]) == "account_url"


def test_a_bearer_token_is_not_sent_in_the_clear() -> None:
    url = "http://127.0.0.1:10000/devstoreaccount1"
    broker = {**AZURE, "account_url": url}
    assert refused(broker, allowed_endpoints=[url]) == "account_url"
    assert read_broker({"broker": {**broker, "credentials": AZURE_KEYS}}, allowed_endpoints=[url])


@pytest.mark.parametrize("kind", ["host", "nfs"])
def test_it_reads_a_folder_below_an_allowed_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    for path in (tmp_path, tmp_path / "in", tmp_path / "not-there"):
        document = {"broker": {"type": kind, "host_path": str(path)}}
        assert read_broker(document, allowed_roots=[str(tmp_path)]) == HostBroker(str(path.resolve()))


def test_it_refuses_folders_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "root2").mkdir()
    (root / "link").symlink_to("/etc")
    paths = ["/", "/etc", "relative", "", f"{root}/../root2", f"{root}2", f"{root}/link", f"{root}/link/ssl", "/a\0b"]
    for path in paths:
        assert refused({"type": "host", "host_path": path}, allowed_roots=[str(root)]) == "host_path", path
    assert refused({"type": "host", "host_path": str(root)}) == "host_path"
    assert refused({"type": "host", "host_path": "/"}, allowed_roots=["/"]) == "host_path"
    assert refused({"type": "host"}, allowed_roots=[str(root)]) == "host_path"


def test_nothing_is_mounted_from_here() -> None:
    for name in ("mount", "nfs_path"):
        with pytest.raises(InvalidRequest, match="mount it on the machine") as caught:
            read_broker({"broker": {"type": "nfs", name: "server:/export"}}, allowed_roots=["/data"])
        assert caught.value.field == f"configuration.broker.{name}"


def test_a_folder_that_became_a_link_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "root" / "in"
    folder.mkdir(parents=True)
    document = {"broker": {"type": "host", "host_path": str(folder)}}
    assert open_storage(document, allowed_roots=[str(root)]).kind == "host"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(InvalidRequest):
        open_storage(document, allowed_roots=[str(root)])


@pytest.mark.parametrize(
    ("broker", "keys", "secret"),
    [(S3, S3_KEYS, "secret_access_key"), (AZURE, {**AZURE_KEYS, "account_name": "acme"}, "account_key")],
)
class TestSecrets:
    def test_they_are_masked(self, broker: dict[str, str], keys: dict[str, str], secret: str) -> None:
        document = {"broker": {**broker, "credentials": keys}}
        before = deepcopy(document)
        assert masked(document) == {"broker": {**broker, "credentials": {**keys, secret: MASK}}}
        assert document == before

    def test_the_mask_stands_for_the_old_one(self, broker: dict[str, str], keys: dict[str, str], secret: str) -> None:
        old = {"broker": {**broker, "credentials": keys}}
        new = masked(old)
        new["broker"]["prefix"] = "new"
        merged = merge_secrets(new, old)
        assert merged == {"broker": {**broker, "prefix": "new", "credentials": keys}}
        assert new["broker"]["credentials"][secret] == MASK
        assert read_broker(merged)

    def test_a_new_one_replaces_it(self, broker: dict[str, str], keys: dict[str, str], secret: str) -> None:
        old = {"broker": {**broker, "credentials": keys}}
        new = {"broker": {**broker, "credentials": {**keys, secret: "bmV3"}}}
        assert merge_secrets(new, old) == new
        assert merge_secrets({"broker": broker}, old) == {"broker": broker}

    def test_it_goes_to_no_other_place(self, broker: dict[str, str], keys: dict[str, str], secret: str) -> None:
        old = {"broker": {**broker, "credentials": keys}}
        shown = masked(old)
        credentials = shown["broker"]["credentials"]
        others: list[dict[str, Any]] = [
            {"broker": {**shown["broker"], "endpoint_url": OWN}},
            {"broker": {**shown["broker"], "account_url": OWN}},
            {"broker": {**shown["broker"], "type": "host"}},
            {"broker": {**shown["broker"], "credentials": {**credentials, "account_name": "evil"}}},
            {"broker": {**shown["broker"], "credentials": {**credentials, "access_key_id": "EVIL"}}},
        ]
        for other in others:
            with pytest.raises(InvalidRequest, match="send the secret") as caught:
                merge_secrets(other, old)
            assert caught.value.field == f"configuration.broker.credentials.{secret}"

    def test_a_mask_for_nothing_is_refused(self, broker: dict[str, str], keys: dict[str, str], secret: str) -> None:
        new = masked({"broker": {**broker, "credentials": keys}})
        for old in ({}, {"broker": broker}):
            with pytest.raises(InvalidRequest, match=re.escape("send the secret itself")):
                merge_secrets(new, old)


@pytest.mark.parametrize("document", [{}, {"broker": None}, {"broker": {"credentials": 3}}, {"broker": {"type": []}}])
def test_documents_that_are_none_are_left_to_the_reader(document: dict[str, Any]) -> None:
    assert masked(document) == document
    assert merge_secrets(document, {}) == document
