"""What is peculiar to a folder of this machine: links, modes, disks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controlplane.core.storage import HostBroker, NoSuchFile, Storage, StorageRefused, StorageUnavailable, read_broker
from controlplane.core.storage.host import HostStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def storage(root: Path) -> HostStorage:
    return HostStorage(str(root))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


def uses(storage: Storage, path: str, target: Path) -> list[Callable[[], object]]:
    return [
        lambda: storage.get(path),
        lambda: storage.stat(path),
        lambda: storage.local_path(path),
        lambda: storage.fetch(path, str(target)),
    ]


def test_it_follows_no_link_to_a_folder(storage: HostStorage, root: Path, outside: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(outside)
    (root / "inside").symlink_to(".")
    writes: list[Callable[[], object]] = [
        lambda: storage.put("link/new", [b"abc"]),
        lambda: storage.put("link/deep/new", [b"abc"]),
        lambda: storage.delete("link/secret"),
        lambda: storage.put("inside/new", [b"abc"]),
    ]
    for use in uses(storage, "link/secret", tmp_path / "copy") + writes:
        with pytest.raises(StorageRefused, match="passes through a symbolic link"):
            use()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert not (tmp_path / "copy").exists()


def test_it_follows_no_link_to_a_file(storage: HostStorage, root: Path, outside: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(outside / "secret")
    for use in uses(storage, "link", tmp_path / "copy"):
        with pytest.raises(StorageRefused, match="link"):
            use()


def test_a_link_is_written_over_and_deleted_not_followed(storage: HostStorage, root: Path, outside: Path) -> None:
    for name in ("one", "two"):
        (root / name).symlink_to(outside / "secret")
    storage.put("one", [b"new"])
    storage.delete("two")
    assert (outside / "secret").read_bytes() == b"secret"
    assert not (root / "one").is_symlink()
    assert not os.path.lexists(root / "two")


def test_a_root_that_became_a_link_is_not_followed(storage: HostStorage, root: Path, outside: Path) -> None:
    root.rmdir()
    root.symlink_to(outside)
    with pytest.raises(StorageUnavailable, match="no folder"):
        storage.get("secret")


def test_a_folder_swapped_for_a_link_meanwhile_leads_nowhere(storage: HostStorage, root: Path, outside: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"abc"
        (root / "folder").rename(root / "moved")
        (root / "folder").symlink_to(outside)

    storage.put("folder/file", source())
    assert (root / "moved" / "file").read_bytes() == b"abc"
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_it_makes_folders_and_files_that_strangers_cannot_read(storage: HostStorage, root: Path) -> None:
    before = os.umask(0)
    try:
        storage.put("a/b/file", [b"abc"])
    finally:
        os.umask(before)
    modes = [(root / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/file")]
    assert modes == [0o750, 0o750, 0o640]


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    storage = HostStorage(str(tmp_path / "disk"))
    uses: list[Callable[[], object]] = [
        lambda: storage.put("file", [b"abc"]),
        lambda: storage.get("file"),
        lambda: storage.delete("file"),
        storage.check,
    ]
    for use in uses:
        with pytest.raises(StorageUnavailable, match="is it mounted"):
            use()
    assert not (tmp_path / "disk").exists()


def test_a_full_disk_leaves_nothing(storage: HostStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageUnavailable, match="full"):
            storage.put("file", [b"abc"])
    assert list(root.iterdir()) == []


def test_a_disk_that_takes_little_at_once_gets_it_all(
    storage: HostStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, content: write(file, content[:3]))
        storage.put("file", [b"abcdefgh"])
    assert (root / "file").read_bytes() == b"abcdefgh"


def test_a_folder_is_no_file(storage: HostStorage, root: Path) -> None:
    storage.put("folder/file", [b"abc"])
    with pytest.raises(StorageRefused, match="folder is a folder"):
        storage.put("folder", [b"abc"])
    with pytest.raises(StorageRefused, match="passes through a file"):
        storage.put("folder/file/below", [b"abc"])
    assert storage.local_path("folder") == str(root / "folder")
    assert [str(path.relative_to(root)) for path in sorted(root.rglob("*"))] == ["folder", "folder/file"]


def test_a_pipe_is_not_waited_for(storage: HostStorage, root: Path) -> None:
    os.mkfifo(root / "pipe")
    for use in (storage.get, storage.stat, storage.local_path):
        with pytest.raises(StorageRefused, match="pipe"):
            use("pipe")


def test_nothing_stays_open(storage: HostStorage, root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    storage.put("folder/file", [b"abc"])
    b"".join(storage.get("folder/file"))
    storage.get("folder/file")
    next(storage.get("folder/file"))
    storage.stat("folder/file")
    for path in ("folder", "missing", "folder/file/below"):
        with pytest.raises(NoSuchFile):
            storage.get(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_configuration_may_name_a_link_to_an_allowed_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    configuration = {"broker": {"type": "host", "host_path": str(tmp_path / "link")}}
    assert read_broker(configuration, allowed_roots=[str(root)]) == HostBroker(str(root))
