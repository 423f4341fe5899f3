"""The browsable API: pages for people who are signed in, with bodies to start from."""

from __future__ import annotations

import json
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer

from controlplane.core.bodies import Body


class BrowsableAPI(BrowsableAPIRenderer):
    """DRF's, whose forms for raw data start from the example that the OpenAPI schema has of the body."""

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        form = super().get_raw_data_form(data, view, method, request)
        if not form:
            return form
        example = example_of(view, method)
        text = "" if example is None else json.dumps(example, indent=4, ensure_ascii=False)
        form.fields["_content"].initial = text
        return form


def example_of(view: Any, method: str) -> Any:
    """An example of the body that `method` takes, the operation's own or its serializer's; None without any."""
    action = getattr(view, "action_map", {}).get(method.lower(), method.lower())
    declared = getattr(getattr(view, action, None), "kwargs", {}).get("schema")
    if declared is None:
        return None
    schema = declared()
    schema.view, schema.method, schema.path = view, method, view.request.path_info
    body = schema.get_request_serializer()
    if isinstance(body, dict):  # by media type
        body = next(iter(body.values()))
    parts = getattr(body, "serializers", None) or [body]
    annotated = getattr(parts[0], "_spectacular_annotation", {}).get("examples", ())
    for example in [*schema.get_examples(), *annotated]:
        if not example.response_only:
            return example.value
    return {} if isinstance(parts[0], Body) or (isinstance(parts[0], type) and issubclass(parts[0], Body)) else None
