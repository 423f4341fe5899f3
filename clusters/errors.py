"""What clusters refuse."""

from __future__ import annotations

from controlplane.core.errors import InvalidRequest


class PriceListUnreadable(InvalidRequest):
    """This is not a price list that can be read."""

    code = "PRICE_LIST_UNREADABLE"
