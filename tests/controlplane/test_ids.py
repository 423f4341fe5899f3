from __future__ import annotations

import time
import uuid

from controlplane.core.ids import uuid7


def test_it_is_a_version_7_uuid_of_the_rfc_variant() -> None:
    made = uuid7()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_it_begins_with_the_present_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    stamp = uuid7().int >> 80
    assert before <= stamp <= time.time_ns() // 1_000_000


def test_ids_of_different_milliseconds_sort_by_time() -> None:
    made = []
    for _ in range(5):
        made.append(uuid7())
        time.sleep(0.002)
    assert made == sorted(made)
    assert [i.hex for i in made] == sorted(i.hex for i in made)


def test_ids_of_one_millisecond_differ() -> None:
    made = {uuid7() for _ in range(20_000)}
    assert len(made) == 20_000


def test_every_free_bit_is_random() -> None:
    seen_set = seen_clear = 0
    for _ in range(200):
        value = uuid7().int
        seen_set |= value
        seen_clear |= ~value
    free = (0xFFF << 64) | ((1 << 62) - 1)
    assert seen_set & free == free
    assert seen_clear & free == free
