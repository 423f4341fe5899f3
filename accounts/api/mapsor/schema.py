"""The parts of the OpenAPI schema that all Mapsor operations share."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from accounts.api.mapsor.serializers import MapsorErrorSerializer

AUTH: Final[list[dict[str, list[str]]]] = [{"TokenAuth": []}, {"TokenHeader": []}]

_WORDS: Final = {
    400: "The request is not valid.",
    401: "No token, or one that is not valid.",
    403: "The token's role does not allow this.",
    404: "No such job.",
    409: "The present state does not allow this.",
    422: "The Idempotency-Key came with another request before.",
    500: "Unexpected failure.",
}


def errors(*codes: int) -> dict[Any, Any]:
    """The error answers of an operation."""
    return {code: OpenApiResponse(MapsorErrorSerializer, description=_WORDS[code]) for code in (*codes, 500)}


def text(status: int, description: str) -> dict[Any, Any]:
    """A plain text answer."""
    return {(status, "text/plain"): OpenApiResponse(OpenApiTypes.STR, description=description)}


REGION_IN_PATH: Final = OpenApiParameter("region", str, OpenApiParameter.PATH, description="Cloud region.")
INSTANCE_ID: Final = OpenApiParameter("instance_id", str, OpenApiParameter.PATH, description="Cloud instance id.")
JOB_ID: Final = OpenApiParameter("id", str, OpenApiParameter.PATH, description="Job id returned by /submit.")
