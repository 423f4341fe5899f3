"""Pages made of what several apps know."""

from controlplane.dashboards.front import front_page

__all__ = ["front_page"]
