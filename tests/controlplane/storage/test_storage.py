"""The contract of storages: one class, run against a folder, S3 and Azure Blob."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import NoSuchFile, Storage, StorageUnavailable, TooBig
from controlplane.core.storage.base import CHUNK_BYTES
from tests.controlplane.storage.places import Place, in_azure, in_folder, in_s3

MIB = 1024**2
WEIRD = [
    "with spaces and  two",
    "ünïcödé/日本/🙂",
    "a#b?c=d&e%20f%2Fg",
    "plus+equals=at@semi;colon:comma,",
    "quotes'and\"more<>|*",
    "-dash/~tilde/.hidden",
    "x" * 255,
    "/".join(["deep"] * 50),
]


class SourceBroke(Exception):
    pass


@pytest.fixture(params=["host", "s3", pytest.param("azure", marks=pytest.mark.needs("azurite"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    makers: dict[str, Callable[[], Place]] = {
        "host": lambda: in_folder(tmp_path),
        "s3": lambda: in_s3(request.getfixturevalue("s3_server")),
        "azure": lambda: in_azure(request.getfixturevalue("azurite")),
    }
    return makers[request.param]()


@pytest.fixture
def storage(place: Place) -> Storage:
    return place.storage


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def pieces(content: bytes, size: int = 3 * MIB + 7) -> Iterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


def read(storage: Storage, path: str, start: int = 0) -> bytes:
    return b"".join(storage.get(path, start))


class TestStorage:
    @pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, 20 * MIB])
    def test_it_gives_back_what_was_put(self, place: Place, size: int) -> None:
        content = noise(size)
        stored = place.storage.put("a/file", pieces(content))
        assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
        chunks = list(place.storage.get("a/file"))
        assert b"".join(chunks) == content
        assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
        assert place.files() == {"a/file"}
        assert place.halves() == 0

    def test_it_walks_through_what_is_below_a_folder(self, storage: Storage) -> None:
        for path in ("b/x", "b/é", "b/a/deep", "b-c", "b.txt", "a"):
            storage.put(path, [path.encode()])
        everything = ["a", "b-c", "b.txt", "b/a/deep", "b/x", "b/é"]
        assert list(storage.walk()) == [(path, len(path.encode())) for path in everything]
        assert [path for path, _ in storage.walk("b")] == ["b/a/deep", "b/x", "b/é"]
        assert list(storage.walk("b/a")) == [("b/a/deep", 8)]
        assert list(storage.walk("none")) == list(storage.walk("b/x")) == []
        with pytest.raises(InvalidRequest):
            list(storage.walk("../b"))

    def test_it_cuts_large_pieces_and_joins_small_ones(self, storage: Storage) -> None:
        content = noise(17 * MIB)
        storage.put("large", [content])
        storage.put("small", [b"", *pieces(content[:MIB], 1000), b""])
        assert read(storage, "large") == content
        assert read(storage, "small") == content[:MIB]

    @pytest.mark.parametrize("start", [1, 5 * MIB, 9 * MIB - 1, 9 * MIB, 9 * MIB + 1])
    def test_it_reads_from_a_byte_on(self, storage: Storage, start: int) -> None:
        content = noise(9 * MIB)
        storage.put("file", pieces(content))
        assert read(storage, "file", start) == content[start:]

    def test_it_reads_nothing_behind_the_end_of_an_empty_file(self, storage: Storage) -> None:
        storage.put("empty", [])
        assert read(storage, "empty") == b""
        assert read(storage, "empty", 1) == b""

    def test_it_refuses_to_read_before_the_beginning(self, storage: Storage) -> None:
        storage.put("file", [b"abc"])
        with pytest.raises(InvalidRequest) as caught:
            storage.get("file", -1)
        assert caught.value.field == "start"

    def test_it_knows_size_and_time_and_media_type(self, storage: Storage) -> None:
        storage.put("file", [b"abc", b"de"], media_type="text/csv")
        stat = storage.stat("file")
        assert stat.size == 5
        assert stat.media_type == (None if storage.kind == "host" else "text/csv")
        assert abs(stat.modified - datetime.now(UTC)) < timedelta(minutes=1)

    @pytest.mark.parametrize("size", [0, 9 * MIB])
    def test_it_keeps_the_media_type_of_files_of_any_size(self, storage: Storage, size: int) -> None:
        storage.put("file", pieces(noise(size)), media_type="image/tiff")
        assert storage.stat("file").media_type == (None if storage.kind == "host" else "image/tiff")

    def test_readers_see_the_old_file_until_the_new_one_is_there(self, place: Place) -> None:
        old, new = noise(2 * MIB, seed=2), noise(18 * MIB, seed=3)
        place.storage.put("file", [old])

        def source() -> Iterator[bytes]:
            for piece in pieces(new):
                yield piece
                assert read(place.storage, "file") == old
                assert place.storage.stat("file").size == len(old)

        place.storage.put("file", source())
        assert read(place.storage, "file") == new
        assert place.files() == {"file"}

    def test_a_reader_never_gets_a_mixture(self, storage: Storage) -> None:
        old, new = noise(12 * MIB, seed=2), noise(12 * MIB, seed=3)
        storage.put("file", [old])
        reader = storage.get("file")
        got = next(reader)
        storage.put("file", [new])
        try:
            got += b"".join(reader)
        except StorageUnavailable:
            assert storage.kind == "azure"
        else:
            assert got == old

    @pytest.mark.parametrize("before", [0, 100, 20 * MIB])
    def test_a_source_that_breaks_leaves_nothing(self, place: Place, before: int) -> None:
        def source() -> Iterator[bytes]:
            yield from pieces(noise(before))
            raise SourceBroke

        with pytest.raises(SourceBroke):
            place.storage.put("a/file", source())
        assert place.files() == set()
        assert place.halves() == 0
        place.storage.put("a/file", [b"now it works"])
        assert read(place.storage, "a/file") == b"now it works"

    def test_a_source_that_breaks_leaves_the_old_file(self, place: Place) -> None:
        def source() -> Iterator[bytes]:
            yield noise(20 * MIB)
            raise OSError("the source's own")

        place.storage.put("file", [b"old"])
        with pytest.raises(OSError, match="the source's own"):
            place.storage.put("file", source())
        assert read(place.storage, "file") == b"old"
        assert place.files() == {"file"}
        assert place.halves() == 0

    @pytest.mark.parametrize("limit", [10, 17 * MIB])
    def test_it_takes_as_much_as_it_may_and_no_more(self, place: Place, limit: int) -> None:
        place.storage.put("fits", pieces(noise(limit)), max_bytes=limit)
        with pytest.raises(TooBig) as caught:
            place.storage.put("file", pieces(noise(limit + 1)), max_bytes=limit)
        assert (caught.value.limit, caught.value.http_status) == (limit, 413)
        assert place.files() == {"fits"}
        assert place.halves() == 0

    def test_too_much_is_noticed_at_once(self, storage: Storage) -> None:
        asked = 0

        def endless() -> Iterator[bytes]:
            nonlocal asked
            while True:
                asked += 1
                yield bytes(1000)

        with pytest.raises(TooBig):
            storage.put("file", endless(), max_bytes=2500)
        assert asked == 3

    def test_a_missing_file_is_told_before_the_first_byte(self, storage: Storage, tmp_path: Path) -> None:
        storage.put("folder/file", [b"abc"])
        for path in ("missing", "missing/file", "folder", "folder/file/below"):
            with pytest.raises(NoSuchFile, match=path):
                storage.get(path)
            with pytest.raises(NoSuchFile, match=path):
                storage.get(path, 10)
            with pytest.raises(NoSuchFile, match=path):
                storage.stat(path)
            with pytest.raises(NoSuchFile, match=path):
                storage.fetch(path, str(tmp_path / "copy"))
        assert not (tmp_path / "copy").exists()

    def test_it_deletes_twice(self, place: Place) -> None:
        place.storage.put("a/file", [b"abc"])
        place.storage.put("a/other", [b"abc"])
        place.storage.delete("a/file")
        place.storage.delete("a/file")
        place.storage.delete("never/was")
        place.storage.delete("a")
        assert place.files() == {"a/other"}

    @pytest.mark.parametrize("path", WEIRD, ids=range(len(WEIRD)))
    def test_it_takes_weird_names(self, place: Place, path: str, tmp_path: Path) -> None:
        place.storage.put(path, [path.encode()])
        assert place.files() == {path}
        assert read(place.storage, path) == path.encode()
        assert place.storage.stat(path).size == len(path.encode())
        assert place.storage.fetch(path, str(tmp_path / "copy")).size == len(path.encode())
        if url := place.storage.url(path, 60):
            with urllib.request.urlopen(url) as answer:
                assert answer.read() == path.encode()
        place.storage.delete(path)
        assert place.files() == set()

    @pytest.mark.parametrize("path", ["", "/etc/passwd", "../up", "a//b", "a/./b", "a/..", "nul\0", "back\\slash"])
    def test_it_refuses_illegal_names_everywhere(self, place: Place, path: str, tmp_path: Path) -> None:
        storage = place.storage
        calls: list[Callable[[], object]] = [
            lambda: storage.put(path, [b"abc"]),
            lambda: storage.get(path),
            lambda: storage.stat(path),
            lambda: storage.fetch(path, str(tmp_path / "copy")),
            lambda: storage.delete(path),
            lambda: storage.local_path(path),
            lambda: storage.url(path, 60),
            lambda: storage.upload_url(path, 60),
        ]
        for call in calls:
            with pytest.raises(InvalidRequest) as caught:
                call()
            assert caught.value.field == "path"
        assert place.files() == set()

    def test_it_fetches_into_a_new_file_only(self, storage: Storage, tmp_path: Path) -> None:
        content, target = noise(9 * MIB), tmp_path / "there" / "copy"
        target.parent.mkdir()
        put = storage.put("file", pieces(content))
        assert storage.fetch("file", str(target)) == put
        assert target.read_bytes() == content
        storage.put("file", [b"other"])
        with pytest.raises(FileExistsError):
            storage.fetch("file", str(target))
        assert target.read_bytes() == content
        assert [path.name for path in target.parent.iterdir()] == ["copy"]

    def test_an_address_is_for_anyone(self, storage: Storage) -> None:
        content = noise(9 * MIB)
        storage.put("file", pieces(content), media_type="text/csv")
        url = storage.url("file", 60)
        assert (url is None) == (storage.kind == "host")
        if url is not None:
            with urllib.request.urlopen(url) as answer:
                assert answer.read() == content
                assert answer.headers["Content-Type"] == "text/csv"

    @pytest.mark.parametrize("seconds", [0, -1, 7 * 86400 + 1])
    def test_an_address_holds_a_week_at_most(self, storage: Storage, seconds: int) -> None:
        for call in (storage.url, storage.upload_url):
            with pytest.raises(InvalidRequest) as caught:
                call("file", seconds)
            assert caught.value.field == "seconds"

    def test_anyone_may_write_at_an_address_for_it(self, storage: Storage) -> None:
        address = storage.upload_url("a/new file", 60, media_type="text/csv")
        assert (address is None) == (storage.kind == "host")
        if address is None:
            return
        assert "ignature" not in repr(address)
        assert "sig" not in repr(address)
        for content in (b"abc", noise(2 * MIB), b""):
            self._put(address.url, content, address.headers)
            assert b"".join(storage.get("a/new file")) == content
        assert storage.stat("a/new file").media_type == "text/csv"

    def _put(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        urllib.request.urlopen(urllib.request.Request(url, content, dict(headers), method="PUT")).close()

    def test_only_files_of_this_machine_have_a_local_path(self, storage: Storage) -> None:
        storage.put("a/file", [b"abc"])
        path = storage.local_path("a/file")
        assert (path is not None) == (storage.kind == "host")
        if path is not None:
            assert Path(path).read_bytes() == b"abc"

    def test_a_check_leaves_nothing(self, place: Place) -> None:
        place.storage.check()
        assert place.files() == set()

    def test_threads_may_share_it(self, place: Place) -> None:
        contents = {f"file-{number}": noise(300_000, seed=number) for number in range(8)}

        def there_and_back(path: str) -> bool:
            place.storage.put(path, pieces(contents[path], 100_000))
            return read(place.storage, path) == contents[path]

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(there_and_back, contents))
        assert place.files() == set(contents)

    def test_large_files_take_little_memory(self, storage: Storage) -> None:
        tracemalloc.start()
        try:
            storage.put("file", (bytes([number]) * MIB for number in range(64)))
            assert sum(len(chunk) for chunk in storage.get("file")) == 64 * MIB
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40 * MIB
