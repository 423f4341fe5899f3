"""Which reducer gets a key.

apollo: FNV-1a-32 of the key as Go's gob writes it, modulo the number of partitions, so that an output has its keys
where Apollo has them. streaming: CRC-32 of the key's bytes, the fastest stable hash of the standard library.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from zlib import crc32

_STRING, _FLOAT, _BOOL = 6, 4, 1  # Go's type ids, doubled as gob writes signed integers

TYPES = {str: _STRING * 2, float: _FLOAT * 2, int: _FLOAT * 2, bool: _BOOL * 2}


def _gob_uint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((256 - len(digits),)) + digits


def gob(key: str | float | bool) -> bytes:
    """The gob message of one value: length, type, a zero, the value. Numbers are float64, as JSON's are in Go."""
    if isinstance(key, bool):
        value = _gob_uint(int(key))
    elif isinstance(key, str):
        text = key.encode()
        value = _gob_uint(len(text)) + text
    else:
        value = _gob_uint(int.from_bytes(struct.pack("<d", key), "big"))
    body = bytes((TYPES[type(key)], 0)) + value
    return _gob_uint(len(body)) + body


def fnv_1a_32(message: bytes) -> int:
    found = 0x811C9DC5
    for byte in message:
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def apollo_hash(key: str | float | bool) -> int:
    return fnv_1a_32(gob(key))


def streaming_partitions(lines: Iterable[bytes], partitions: int) -> list[int]:
    """The partition of each line `key TAB value`; a line without TAB is a key."""
    return [crc32(line.partition(b"\t")[0]) % partitions for line in lines]


def canonical_key(key: object) -> str:
    """The key as JSON, the same text for equal keys and for no others (true is not 1). ValueError: not a key."""
    if isinstance(key, str):
        return json.dumps(key.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int):
        float(key)  # must be one, to be hashed
        return str(key)
    if isinstance(key, float) and key - key == 0:
        return str(int(key)) if key.is_integer() else repr(key)
    raise ValueError("a key is a text, a finite number, or true or false")
