"""Reads input objects and writes whole ones: files of this machine, http(s) addresses, S3.

Nobody ever sees half an object: a file is written beside its place and renamed, an upload is completed at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from .errors import INPUT_REFUSED, INPUT_UNREADABLE, OUTPUT_REFUSED, OUTPUT_UNWRITABLE, TaskFailed
from .lines import first_byte_read, split_blocks, unix_lines

TYPE_CHECKING = False  # typing would take a fifth of the start
if TYPE_CHECKING:
    from typing import Any

    from .task import MapOutput, Place, Split, Store

CONNECT_SECONDS = 10
READ_SECONDS = 60  # of S3
TRIES = 5
READERS = 8  # objects behind addresses that are read at once


def _unreadable(place: Place, why: object, *, refused: bool = False) -> TaskFailed:
    return TaskFailed(INPUT_REFUSED if refused else INPUT_UNREADABLE, f"{place} cannot be read: {why}.")


def _unwritable(place: Place, why: object, *, refused: bool = False) -> TaskFailed:
    return TaskFailed(OUTPUT_REFUSED if refused else OUTPUT_UNWRITABLE, f"{place} cannot be written: {why}.")


def _is_refusal(place: Place, error: BaseException) -> bool:
    if not place.is_address:
        return False
    from . import addresses

    return addresses.is_refusal(error)


def _reason(error: BaseException) -> str:
    """In words, without the address: an http one may hold a signature."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(getattr(error, "reason", "") or str(error) or type(error).__name__).strip().rstrip(".")


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("boto3", "botocore", "http", "s3transfer", "urllib3")


# --- Reading -------------------------------------------------------------------------------------


def input_lines(split: Split) -> Iterator[bytes]:
    """The split's lines, in blocks; each ends with a newline alone. Raises TaskFailed."""
    return unix_lines(_input_blocks(split))


def _input_blocks(split: Split) -> Iterator[bytes]:
    with _opened(split.place, first_byte_read(split.start), split.size) as read:
        if not split.gzip:
            yield from split_blocks(read, split.start, split.end)
        elif split.size:
            yield from _gunzipped(read)


def _gunzipped(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Of all members, as gzip(1) has it."""
    import zlib

    unpack = None
    while block := read(1 << 16):
        while block:
            unpack = unpack or zlib.decompressobj(wbits=31)
            found = unpack.decompress(block, 1 << 20)
            if found:
                yield found
            block = unpack.unconsumed_tail
            if unpack.eof:
                block = unpack.unused_data.lstrip(b"\0")  # padding of tapes
                unpack = None
    if unpack is not None:
        raise EOFError("its compressed data end too early")


@contextmanager
def _opened(place: Place, start: int, size: int | None, length: int | None = None) -> Iterator[Callable[[int], bytes]]:
    """A function that reads on from `start`, of an object of `size` bytes if that is known.

    `length`: so many bytes only, of an address. Raises TaskFailed, too, for what goes wrong while it is used.
    """
    try:
        file, found = _open(place, start, length)
        try:
            if size is not None and found != size:
                raise _unreadable(place, f"it has {found} bytes, and had {size} when it was split")
            yield file.read
        finally:
            file.close()
    except TaskFailed:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(place, _reason(error), refused=_is_refusal(place, error)) from error
    except Exception as error:
        import zlib

        if not isinstance(error, zlib.error) and not _is_of_a_client(error):
            raise
        raise _unreadable(place, _reason(error)) from error


def _open(place: Place, start: int, length: int | None) -> tuple[Any, int]:
    """A file-like object that reads from `start`, and the size of the whole."""
    if place.path is not None:
        file = open(place.path, "rb", buffering=0)  # noqa: SIM115 - closed by the caller
        file.seek(start)
        return file, os.fstat(file.fileno()).st_size
    assert place.url is not None
    if place.url.startswith("s3://"):
        bucket, _, key = place.url.removeprefix("s3://").partition("/")
        # An empty object has no range that could be asked for.
        ranged = {"Range": f"bytes={start}-"} if start else {}
        answer = _client(place.store).get_object(Bucket=bucket, Key=key, **ranged)
        total = answer["ContentRange"].rpartition("/")[2] if start else answer["ContentLength"]
        return answer["Body"], int(total)
    from . import addresses

    return addresses.open_address(place.url, start, length)


def local_file(place: Place, size: int | None, folder: str, name: str, start: int = 0) -> str:
    """A path at which the object of `size` bytes lies; one from elsewhere is brought to `folder`.

    Without a size, all of it. `start`: where it begins in what is at an address. Raises TaskFailed.
    """
    target = place.path or f"{folder}/{name}"
    if place.path is None:
        whole, length = (None, size) if place.is_address and size else (size, None)
        with _opened(place, start, whole, length) as read, open(target, "wb", buffering=0) as file:
            while block := read(1 << 20):
                file.write(block)
    try:
        found = os.stat(target).st_size
    except OSError as error:
        raise _unreadable(place, _reason(error)) from error
    if size is not None and found != size:
        raise _unreadable(place, f"it has {found} bytes, and should have {size}")
    return target


def whole(place: Place) -> bytes:
    """All of an object that is known to be small. Raises TaskFailed."""
    blocks = []
    with _opened(place, 0, None) as read:
        while block := read(1 << 20):
            blocks.append(block)
    return b"".join(blocks)


def local_files(outputs: Sequence[MapOutput], folder: str) -> list[str]:
    """A path for each of what map tasks have left. TaskFailed names the map task whose output is the trouble."""

    def one(number: int) -> str:
        output = outputs[number]
        try:
            return local_file(output.place, output.size, folder, f"map-{number}", output.start)
        except TaskFailed as failure:
            raise TaskFailed(failure.code, failure.message, map=output.map_index, **failure.facts) from failure

    if not any(output.place.is_address for output in outputs):
        return [one(number) for number in range(len(outputs))]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(one, range(len(outputs))))


def bring_program(place: Place, folder: str, name: str) -> str:
    """The path of a program that lies elsewhere. Raises TaskFailed."""
    path = local_file(place, None, folder, name)
    os.chmod(path, 0o700)
    return path


def _client(store: Store) -> Any:
    return _s3(store.endpoint, store.region, store.access_key_env, store.secret_key_env)


@cache
def _s3(endpoint: str | None, region: str, access_key_env: str, secret_key_env: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ValueError("boto3 is not installed where the worker runs, or Python was started with -S") from error
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    keys = os.environ.get(access_key_env), os.environ.get(secret_key_env)
    session = boto3.session.Session(*keys, region_name=region)
    return session.client("s3", endpoint_url=endpoint, config=config)


# --- Writing -------------------------------------------------------------------------------------


@contextmanager
def room_beside(place: Place, folder: str) -> Iterator[str]:
    """A folder from which `put` can move files to the place or below it, gone at the end of the block.

    `folder` serves for what goes elsewhere from this machine. Raises TaskFailed.
    """
    if place.path is None:
        yield folder
        return
    above, name = os.path.split(place.path)
    room = f"{above}/.{name}.{os.urandom(6).hex()}.part"
    try:
        os.makedirs(room)
    except OSError as error:
        raise _unwritable(place, _reason(error)) from error
    try:
        yield room
    finally:
        remove_folder(room)


def remove_folder(folder: str) -> None:
    """With the files in it, as far as they can be removed."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            os.unlink(entry.path)
        os.rmdir(folder)


def put(path: str, place: Place, *, durable: bool) -> None:
    """Make the file at `path` the object; a durable one survives a crash of the machine. Raises TaskFailed."""
    if place.path is not None:
        try:
            os.makedirs(os.path.dirname(place.path), exist_ok=True)
            if durable:
                _flush(path)
            os.replace(path, place.path)
        except OSError as error:
            raise _unwritable(place, _reason(error)) from error
        return
    assert place.url is not None
    if place.is_address:
        _put_address(path, place)
        return
    bucket, _, key = place.url.removeprefix("s3://").partition("/")
    try:
        _client(place.store).upload_file(path, bucket, key)
    except Exception as error:
        if not isinstance(error, ValueError | OSError) and not _is_of_a_client(error):
            raise
        raise _unwritable(place, _reason(error)) from error


def _put_address(path: str, place: Place) -> None:
    from . import addresses

    assert place.url is not None
    try:
        addresses.put_file(path, place.url, place.headers)
    except ValueError as error:
        raise _unwritable(place, _reason(error), refused=True) from error
    except Exception as error:
        if not isinstance(error, OSError) and not _is_of_a_client(error):
            raise
        raise _unwritable(place, _reason(error), refused=_is_refusal(place, error)) from error


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
