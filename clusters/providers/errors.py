"""What can go wrong at a provider, named by the caller's next step."""

from __future__ import annotations


class ProviderError(Exception):
    """A provider failed in a way that has no better name; ask again later."""


class NoCapacity(ProviderError):
    """There is no room there now: leave the work queued, or take another offer."""


class Throttled(ProviderError):
    """Too many calls: wait `retry_after_seconds`, then go on."""

    def __init__(self, message: str = "", retry_after_seconds: float = 1.0) -> None:
        super().__init__(message or "too many calls")
        self.retry_after_seconds = retry_after_seconds


class NotYet(ProviderError):
    """The provider has not got so far: ask again."""


class AuthFailed(ProviderError):
    """Our credentials are refused: stop calling, and tell whoever owns them.

    `customer`: it is in the account of this customer only, whose role was taken back, say; "" for our own.
    """

    def __init__(self, message: str = "", customer: str = "") -> None:
        super().__init__(message)
        self.customer = customer


class Refused(ProviderError):
    """Never going to work as asked (an image it cannot have, an unknown queue): reject it for good."""


class NotFound(ProviderError):
    """The provider knows nothing of this handle (any more)."""
