"""The root of every error that a caller may see.

Services raise these; each surface says them in its own words. The class's docstring is the default
message, `code` is stable and for machines, `field` names the input that is at fault, `index` the item of a list.
"""

from __future__ import annotations

import inspect


class ControlPlaneError(Exception):
    """Something went wrong."""

    code = "INTERNAL"
    http_status = 500
    index: int | None = None

    def __init__(self, message: str = "", *, field: str | None = None, code: str | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").splitlines()[0]
        self.field = field
        if code is not None:
            self.code = code
        super().__init__(self.message)


class InvalidRequest(ControlPlaneError):
    """The request is not valid."""

    code = "INVALID_REQUEST"
    http_status = 400


class Unauthorized(ControlPlaneError):
    """The token is missing or not valid."""

    code = "UNAUTHORIZED"
    http_status = 401


class Forbidden(ControlPlaneError):
    """You may not do this."""

    code = "FORBIDDEN"
    http_status = 403


class NotFound(ControlPlaneError):
    """There is no such thing, or it is not yours."""

    code = "NOT_FOUND"
    http_status = 404


class Conflict(ControlPlaneError):
    """The present state does not allow this."""

    code = "CONFLICT"
    http_status = 409


class Unprocessable(ControlPlaneError):
    """The request contradicts an earlier one."""

    code = "UNPROCESSABLE"
    http_status = 422


class TooLarge(ControlPlaneError):
    """The request is too large."""

    code = "TOO_LARGE"
    http_status = 413


class Unavailable(ControlPlaneError):
    """This cannot be served just now; try again soon."""

    code = "UNAVAILABLE"
    http_status = 503
    retry_after_seconds = 5


class TooManyFollowers(Unavailable):
    """So many follow what happens here already that requests would find no thread; try again soon."""

    code = "TOO_MANY_FOLLOWERS"
