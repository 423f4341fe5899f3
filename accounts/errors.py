"""What accounts refuse."""

from __future__ import annotations

from controlplane.core.errors import Conflict, InvalidRequest


class UserExists(Conflict):
    """A user of that name exists already."""

    code = "USER_EXISTS"


class UserNotFound(InvalidRequest):
    """There is no user of that name."""

    code = "USER_NOT_FOUND"


class UserState(Conflict):
    """The user's present state does not allow this."""

    code = "USER_STATE"
