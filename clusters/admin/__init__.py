"""Offers and prices in the admin."""

from clusters.admin import offers, prices

__all__ = ["offers", "prices"]
