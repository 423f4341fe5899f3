"""The settings of Django REST framework and of the OpenAPI schema: nothing in them is read from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.enum_names import ENUM_NAMES

# What holds for the native surface; the others name their own.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.TokenAuthentication",
        "accounts.api.authentication.NativeSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "controlplane.core.browsable.BrowsableAPI",
    ],
    "DEFAULT_PARSER_CLASSES": ["controlplane.core.rest.JSONBody"],
    "DEFAULT_PAGINATION_CLASS": "controlplane.core.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["controlplane.core.filters.Filters"],
    "DEFAULT_SCHEMA_CLASS": "controlplane.core.openapi.NativeSchema",
    "EXCEPTION_HANDLER": "controlplane.core.rest.exception_handler",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Control plane for compute",
    "DESCRIPTION": "Submit, watch and steer work on AWS, Azure and this machine.",
    "VERSION": (Path(__file__).resolve().parent.parent / "VERSION").read_text().strip(),
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "controlplane.core.openapi.add_components",
    ],
    "ENUM_NAME_OVERRIDES": ENUM_NAMES,
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "TokenAuth": {
                "type": "apiKey",
                "in": "query",
                "name": "token",
                "description": "Mapsor paths only. Addresses get into logs and histories: the header is safer.",
            },
            "TokenHeader": {"type": "http", "scheme": "bearer", "description": "The same token in a header."},
        }
    },
}
