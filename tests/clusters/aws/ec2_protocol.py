"""EC2's way over the wire, by its own model: lists are numbered in the question, XML is the answer."""

from __future__ import annotations

import urllib.parse
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from moto.core.model import ServiceModel
from moto.core.parse import EC2QueryParser
from moto.core.serialize import EC2Serializer
from werkzeug.datastructures import MultiDict

VERSION = "2016-11-15"


@cache
def service() -> ServiceModel:
    """Boto's model, in moto's classes."""
    description = botocore.session.Session().get_component("data_loader").load_service_model("ec2", "service-2")
    return ServiceModel(description, "ec2")


def operation(action: str) -> Any:
    return service().operation_model(action)


def asked(action: str, text: str) -> dict[str, Any]:
    """What a request's body gives an action."""
    values = MultiDict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    request: Any = {"values": values}  # it looks at nothing else
    found: dict[str, Any] = EC2QueryParser(operation(action)).parse(request)
    return found


def answered(action: str, told: dict[str, Any]) -> str:
    found = EC2Serializer(operation(action)).serialize(told)["body"]
    return found.decode() if isinstance(found, bytes) else str(found)


def refused(code: str, message: str) -> str:
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"
