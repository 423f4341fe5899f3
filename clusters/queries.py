"""Which providers this deployment has."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from clusters.providers.local.isolation import probe
from clusters.providers.local.provider import LocalProvider

CLOUDS = ("aws", "azure", "local")
# What a cloud needs before it can be used; a cloud that needs nothing is always there.
REQUIRED_SETTINGS: dict[str, tuple[str, ...]] = {
    "aws": ("AWS_REGIONS", "AWS_BATCH_QUEUES"),
    "azure": ("AZURE_BATCH_ENDPOINT", "AZURE_BATCH_POOLS"),
    "local": (),
}


def missing_settings(cloud: str) -> list[str]:
    """The settings without which `cloud` cannot be used here."""
    return [name for name in REQUIRED_SETTINGS[cloud] if not getattr(settings, name, None)]


@lru_cache(maxsize=1)
def local_is_isolated() -> bool:
    """Does this machine isolate local jobs? A trial run of bubblewrap tells."""
    return bool(settings.LOCAL_ISOLATION) and probe().works


@lru_cache(maxsize=1)
def local_provider() -> LocalProvider:
    """The provider of this machine."""
    return LocalProvider(
        settings.LOCAL_ROOT,
        vcpus_milli=settings.LOCAL_VCPUS * 1000,
        memory_mib=settings.LOCAL_MEMORY_MIB,
        log_cap_bytes=settings.LOG_CAP_MIB * 2**20,
        isolate=local_is_isolated(),
        readable_paths=settings.LOCAL_READABLE_PATHS,
        hidden_paths=(str(settings.DATA_DIR), str(settings.BASE_DIR)),
    )
