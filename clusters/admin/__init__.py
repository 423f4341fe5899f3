"""Offers, prices and the fleet in the admin."""

from clusters.admin import clusters, containers, hosting_places, image_versions, locations, offers, prices

__all__ = ["clusters", "containers", "hosting_places", "image_versions", "locations", "offers", "prices"]
