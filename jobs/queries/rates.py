"""What jobs cost by the hour."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from clusters.queries import PriceList, Rate, price_list, price_lists
from jobs.models import Shape


class Rates:
    """Asked for any number of jobs, it reads each price list once."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, str, int | None, datetime | None], PriceList] = {}
        self._found: dict[tuple[PriceList, int, int, bool, str], Rate | None] = {}

    def read(self, cloud: str, region: str, customers: Collection[int]) -> None:
        """Read what these customers are offered there now, in one statement."""
        for customer_id, found in price_lists(cloud, region, customers).items():
            self._lists[cloud, region, customer_id, None] = found

    def since(
        self, began: datetime, capacity: str, cloud: str, region: str, shape: str, vcpus_milli: int, memory_mib: int,
        customer_id: int,
    ) -> Rate | None:  # fmt: skip
        """By what an execution is priced that began then: to the minute, so that few lists are read for many."""
        at, whole = began.replace(second=0, microsecond=0), shape == Shape.INSTANCE
        return self.rate(cloud, region, customer_id, vcpus_milli, memory_mib, whole=whole, capacity=capacity, at=at)

    def rate(
        self,
        cloud: str,
        region: str,
        customer_id: int | None,
        vcpus_milli: int,
        memory_mib: int,
        *,
        whole: bool,
        capacity: str = "",
        at: datetime | None = None,
    ) -> Rate | None:
        """By what such a job is priced at a moment, else now; `whole`: it is a machine. None when there is no price."""
        where = (cloud, region, customer_id, at)
        if where not in self._lists:
            self._lists[where] = price_list(cloud, region, customer_id=customer_id, at=at)
        key = (self._lists[where], vcpus_milli, memory_mib, whole, capacity)
        if key not in self._found:
            self._found[key] = key[0].rate(vcpus_milli, memory_mib, whole=whole, capacity=capacity)
        return self._found[key]
