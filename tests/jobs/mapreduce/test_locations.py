"""Locations as users write them: what each names, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.errors import InvalidRequest
from jobs.mapreduce.locations import Location, read_input, read_output


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://minio:9000/test/test.txt", Location("http", "http://minio:9000", "test", "test.txt")),
        ("https://minio/test/a/b.txt", Location("https", "https://minio", "test", "a/b.txt")),
        ("HTTP://minio/test/a", Location("http", "http://minio", "test", "a")),
        ("http://[::1]:9000/test/a", Location("http", "http://[::1]:9000", "test", "a")),
        ("http://minio/test/all/", Location("http", "http://minio", "test", "all/")),
        ("http://minio/test/", Location("http", "http://minio", "test", "")),
        ("s3://texts/a b.gz", Location("s3", "", "texts", "a b.gz")),
        ("file:///data/in.txt", Location("file", "", "", "data/in.txt")),
        ("file:///data/", Location("file", "", "", "data/")),
    ],
)
def test_an_input_is_an_object_or_a_prefix(text: str, found: Location) -> None:
    assert read_input(text, "input") == found
    assert found.is_prefix == text.endswith("/")


@pytest.mark.parametrize(
    ("text", "use_ssl", "found"),
    [
        ("http://minio:9000", True, Location("http", "http://minio:9000", "reducers", "")),
        ("minio:9000", False, Location("http", "http://minio:9000", "reducers", "")),
        ("minio:9000", True, Location("https", "https://minio:9000", "reducers", "")),
        ("minio/counts/2026", False, Location("http", "http://minio", "counts", "2026/")),
        ("https://minio/counts/2026/", False, Location("https", "https://minio", "counts", "2026/")),
        ("s3://counts", True, Location("s3", "", "counts", "")),
        ("file:///data/out", True, Location("file", "", "", "data/out/")),
    ],
)
def test_an_output_is_a_bucket_and_a_prefix(text: str, use_ssl: bool, found: Location) -> None:
    assert read_output(text, "output", use_ssl=use_ssl) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "minio/test/a", "ftp://minio/test/a", "http://", "http:///test/a", "http://minio", "http://minio/test"),
        *("http://minio:99999/test/a", "http://mi nio/test/a", "http://user:word@minio/test/a", "http://minio//a"),
        *("http://minio/t/a", "http://minio/test/../a", "http://minio/test//a", "s3://", "s3:///a", "file://in.txt"),
        *("file:///../etc/passwd", "file:///data/./a", "http://minio/test/a\0", "http://minio/test/" + "x" * 3000),
    ],
)
def test_what_names_no_input_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_input(text, "inputPath")
    assert caught.value.field == "inputPath"


@pytest.mark.parametrize("text", ["", "ftp://minio", "http://", "mi nio", "http://minio/-x", "s3://", "file://out"])
def test_what_names_no_output_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_output(text, "outputPath")
    assert caught.value.field == "outputPath"


@given(st.text(max_size=60), st.sampled_from(["", "http://", "s3://", "file:///", "https://m/"]), st.booleans())
def test_whatever_is_written_is_read_or_refused(text: str, before: str, use_ssl: bool) -> None:
    for read in (lambda: read_input(before + text, "x"), lambda: read_output(before + text, "x", use_ssl=use_ssl)):
        with suppress(InvalidRequest):
            found = read()
            assert found.is_file == (found.bucket == "")


def test_a_path_of_its_store_is_shown_as_users_write_it() -> None:
    assert read_output("minio/counts/a", "x").shown("a/1/0.tsv") == "http://minio/counts/a/1/0.tsv"
    assert read_output("s3://counts", "x").shown("1/0.json") == "s3://counts/1/0.json"
    assert read_output("file:///data", "x").shown("data/1/0.json") == "file:///data/1/0.json"
