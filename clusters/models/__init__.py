"""The tables of clusters."""

from clusters.models.offer import Capacity, Measure, Offer, Price, Source

__all__ = ["Capacity", "Measure", "Offer", "Price", "Source"]
