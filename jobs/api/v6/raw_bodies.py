"""Bodies that are no JSON: taken as they flow, never whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from controlplane.core.errors import InvalidRequest
from jobs.errors import UploadCut

CHUNK_BYTES: Final = 256 * 1024


class AnyBody(BaseParser):
    """Takes every media type, and reads nothing: that is for `body_of`."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {}


def length_of(request: HttpRequest) -> int | None:
    """The body's length in bytes; None when it comes in chunks. Raises InvalidRequest when neither is said."""
    said = request.META.get("CONTENT_LENGTH") or ""
    if said.isascii() and said.isdigit():
        return int(said)
    # Only a server that ends the stream with the body, as gunicorn does, can be read from without a length.
    if "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated"):
        return None
    raise InvalidRequest("Say how long the file is, or send it in chunks.", field="Content-Length")


def body_of(request: HttpRequest) -> Iterator[bytes]:
    """The body in pieces. Raises UploadCut where it ends too early."""
    length = length_of(request)
    # Of a body in chunks Django believes that it is empty.
    stream = cast(WSGIRequest, request).environ["wsgi.input"] if length is None else request
    seen = 0
    while True:
        try:
            piece = stream.read(CHUNK_BYTES)
        except OSError as error:
            raise UploadCut from error
        if not piece:
            break
        seen += len(piece)
        yield piece
    if length is not None and seen != length:
        raise UploadCut
