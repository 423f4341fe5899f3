"""What the OpenAPI schema says of every native operation without being told: its id, its refusals."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import PolymorphicProxySerializer

ERROR: Final = "NativeError"
# As a path has it: a uuid; an id or a uuid.
UUID: Final = "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
REFERENCE: Final = rf"\d{{1,18}}|{UUID}"
_FAULT: Final = {
    "type": "object",
    "required": ["field", "message"],
    "properties": {
        "field": {"type": "string", "description": "What is at fault; empty for the request as a whole."},
        "message": {"type": "string"},
        "index": {"type": "integer", "description": "Its place, when the body is a list."},
    },
}
COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "schemas": {
        ERROR: {
            "type": "object",
            "required": ["detail", "code"],
            "properties": {
                "detail": {"type": "string", "description": "What is wrong, for people."},
                "code": {"type": "string", "description": "The same for programs; stable."},
                "errors": {"type": "array", "items": _FAULT, "description": "With 400: each fault."},
            },
            "example": {
                "detail": "priority: This is a whole number.",
                "code": "INVALID_REQUEST",
                "errors": [{"field": "priority", "message": "This is a whole number."}],
            },
        }
    }
}
_WORDS: Final = {
    400: "The request is not valid; `errors` names each fault.",
    401: "No token or session, or one that is not valid.",
    403: "You may not do this.",
    404: "There is no such thing, or it is not yours.",
    405: "This path does not have that method.",
    406: "It is not to be had in what `Accept` asks for.",
    409: "The present state does not allow this, or a request with this Idempotency-Key is being worked on.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "This Idempotency-Key came with another request before.",
    500: "Unexpected failure.",
    429: "Too many requests; Retry-After says when to ask again.",
    503: "Not now; Retry-After says when to ask again.",
}
_VERBS: Final = {
    "list": "list",
    "create": "create",
    "retrieve": "get",
    "partial_update": "update",
    "update": "replace",
    "destroy": "delete",
}
_METHODS: Final = {"GET": "get", "PATCH": "update", "PUT": "replace", "DELETE": "delete", "POST": "create"}
# Last parts of paths that are read by GET and are verbs all the same; and parts that are no verb yet.
_ASKS: Final = frozenset({"explain"})
_IRREGULAR: Final = {"priority": "prioritize"}
# What ends in s and is one thing.
_SINGULAR: Final = frozenset({"status"})
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key with the same request within 24 h: done once, answered alike.",
}


def _one(word: str) -> str:
    """`jobs` -> `job`."""
    if word in _SINGULAR or not word.endswith("s"):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]


def _words(path: str) -> list[str]:
    """What a path names, without its parameters: what one of them picks from is told as one (`jobs/{id}` -> `job`)."""
    parts = [part for part in path.split("/") if part]
    named = parts[1:] if parts[0] == "v6" else parts
    return [
        (_one(part) if picked.startswith("{") else part).replace("-", "_")
        for part, picked in zip(named, [*named[1:], ""], strict=True)
        if not part.startswith("{")
    ]


def add_components(result: dict[str, Any], **of_the_generator: Any) -> dict[str, Any]:
    """A postprocessing hook: the shapes that operations refer to and no serializer has."""
    for kind, shapes in COMPONENTS.items():
        result.setdefault("components", {}).setdefault(kind, {}).update(shapes)
    return result


class NativeSchema(AutoSchema):
    """Names native operations `<verb>_<noun>`, and declares what all of them may refuse with.

    A view says more in `refusals`: {action: statuses}; one without actions names methods, in small letters.
    """

    def _is_native(self) -> bool:
        return self.path.startswith(("/v6/", "/api-token-auth/"))

    def get_operation_id(self) -> str:
        if not self._is_native():
            return str(super().get_operation_id())
        words = _words(self.path)
        action = getattr(self.view, "action", "") or self.method.lower()
        if action in _VERBS:
            if action == "create":
                words[-1] = _one(words[-1])
            return "_".join([_VERBS[action], *words])
        if words[-1] == "me":
            return "_".join([_METHODS[self.method], "own", *words[:-2], _one(words[-2])])
        if (self.method == "POST" and len(words) > 1) or words[-1] in _ASKS:
            # The last part of the path is the verb: `/v6/jobs/{id}/cancel/` is cancel_job.
            return "_".join([_IRREGULAR.get(words[-1], words[-1]), *words[:-1]])
        return "_".join([_METHODS[self.method], *words])

    def get_tags(self) -> list[str]:
        return ["Native"] if self._is_native() else list(super().get_tags())

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None or not self._is_native():
            return operation
        if self.method == "POST" and self._knows_callers():
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        if "requestBody" in operation and self._needs_body(operation):
            operation["requestBody"]["required"] = True
        for status in self._refusals():
            if not any(code == str(status) for code in operation["responses"]):
                content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}}
                operation["responses"][str(status)] = {"description": _WORDS[status], "content": content}
        return operation

    def _needs_body(self, operation: dict[str, Any]) -> bool:
        """What is one of several shapes, and bulk work, cannot do without; of others the serializers tell."""
        return isinstance(self.get_request_serializer(), PolymorphicProxySerializer) or "202" in operation["responses"]

    def _knows_callers(self) -> bool:
        """Where nobody is known, nobody is refused for who they are, and an Idempotency-Key would be nobody's."""
        return bool(self.view.get_authenticators())

    def _refusals(self) -> list[int]:
        action = getattr(self.view, "action", None) or self.method.lower()
        found = {406, 500, 503, *getattr(self.view, "refusals", {}).get(action, ())}
        known = self._knows_callers()
        if known:
            found |= {401}
        if self.method in ("POST", "PATCH", "PUT"):
            found |= {400, 413, 415, *((403,) if known else ())}
        if self.method == "POST" and known:
            found |= {409, 422}
        if self.method == "DELETE":
            found |= {403}
        if "{" in self.path:
            found |= {404}
        if self._is_list_view() and self.method == "GET":
            found |= {400, 404}
        return sorted(found)
