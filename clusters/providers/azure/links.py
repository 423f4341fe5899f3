"""Addresses of pages in Azure's portal. Who follows one needs an account there.

A resource has the address that Azure Monitor's alerts give as `portalLink`, with an entry of its menu behind it. For
one job or task of a Batch account none is documented: what is inside is chosen there.
"""

from __future__ import annotations

from typing import Final

_PORTAL: Final = "https://portal.azure.com/#"


def jobs_page(resource_id: str) -> str:
    """The jobs of a Batch account; of one whose resource id is not known, the list of accounts."""
    if not resource_id:
        return f"{_PORTAL}browse/Microsoft.Batch%2FbatchAccounts"
    return f"{_PORTAL}resource/{resource_id.strip('/')}/jobs"
