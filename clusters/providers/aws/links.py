"""Addresses of pages in AWS's console."""

from __future__ import annotations

from typing import Final

_DOMAINS: Final = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def console_page(region: str, service: str, page: str) -> str:
    """The address of `page` (what comes after the "#") of a service's console, in the partition of the region."""
    domain = next((name for begin, name in _DOMAINS.items() if region.startswith(begin)), "console.aws.amazon.com")
    return f"https://{region}.{domain}/{service}/home?region={region}#{page}"
