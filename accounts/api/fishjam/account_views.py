"""Fishjam's accounts: signing up, in and out, passwords, and who one is."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib.auth import login, logout, update_session_auth_hash
from django.middleware.csrf import get_token
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.fishjam.base import (
    DetailSerializer,
    OpenOperation,
    Operation,
    declared,
    demand_session,
    detail,
    read_uuid,
)
from accounts.api.fishjam.serializers import (
    ChangePasswordSerializer,
    NewPasswordSerializer,
    ResetSerializer,
    SignInSerializer,
    SignUpSerializer,
    UserSerializer,
    VerifySerializer,
)
from accounts.api.signin import address_of, check_password, check_password_of_address
from accounts.api.v6.base import user_of
from accounts.errors import NotVerified, TooManyAttempts, WrongCredentials, WrongPassword
from accounts.models import TokenScope, User
from controlplane.core.errors import Unauthorized

USER_UUID: Final = OpenApiParameter("user_uuid", OpenApiTypes.UUID, "path")
TOKEN: Final = OpenApiParameter("token", str, "path")
# By address, within an hour.
SIGN_UPS, RESETS = 20, 20


def shown(user: User, status: int = 200) -> Response:
    return Response(UserSerializer(user).data, status=status)


def prove(request: Request, email: str, password: str) -> User:
    """The enabled user with this address and password. Raises Unauthorized, TooManyAttempts."""
    try:
        return check_password_of_address(request._request, email, password)
    except WrongCredentials as error:
        raise Unauthorized("Wrong e-mail or password.") from error


class SignIn(OpenOperation):
    @declared(
        "fishjam_sign_in", "Begin a session", 200, UserSerializer, *(401, 403, 422, 429), request=SignInSerializer
    )
    def post(self, request: Request) -> Response:
        given = self.taken(SignInSerializer)
        user = prove(request, given["email"], given["password"])
        if not user.is_verified:
            raise NotVerified
        login(request._request, user)
        return shown(user)


class SignOut(OpenOperation):
    @declared("fishjam_sign_out", "End the session", 200, DetailSerializer, request=None)
    def post(self, request: Request) -> Response:
        logout(request._request)
        return detail("Signed out.")


class SignUp(OpenOperation):
    @declared(
        "fishjam_sign_up",
        "Make an account",
        201,
        UserSerializer,
        *(400, 403, 409, 422, 429),
        request=SignUpSerializer,
    )
    def post(self, request: Request) -> Response:
        given = self.taken(SignUpSerializer)
        services.spend("sign-up", address_of(request._request) or "", SIGN_UPS, 3600)
        return shown(services.sign_up(**given), 201)


class Verify(OpenOperation):
    @declared(
        "fishjam_verify_user",
        "Show that an address is one's own",
        200,
        DetailSerializer,
        *(401, 422),
        request=VerifySerializer,
    )
    def post(self, request: Request) -> Response:
        services.verify(self.taken(VerifySerializer)["verification_token"])
        return detail("The e-mail address is verified.")


class ResendVerification(OpenOperation):
    @declared(
        "fishjam_resend_verification",
        "Mail the link that verifies again",
        200,
        DetailSerializer,
        *(401, 409, 422, 429),
        request=SignInSerializer,
    )
    def post(self, request: Request) -> Response:
        given = self.taken(SignInSerializer)
        services.resend_verification(prove(request, given["email"], given["password"]))
        return detail("The mail is on its way.")


class CurrentUser(Operation):
    changes: ClassVar[str] = TokenScope.ADMIN
    for_sessions = frozenset({"delete"})

    @declared("fishjam_get_current_user", "The caller", 200, UserSerializer, 401)
    def get(self, request: Request) -> Response:
        return shown(user_of(request))

    @declared("fishjam_delete_account", "Close the account for good", 200, DetailSerializer, *(401, 403))
    def delete(self, request: Request) -> Response:
        services.close_account(user_of(request))
        logout(request._request)
        return detail("The account is closed.")


class Csrf(OpenOperation):
    @declared("fishjam_get_csrf", "Have the cookie set whose value goes into X-CSRFToken", 200, DetailSerializer)
    def get(self, request: Request) -> Response:
        answer = detail("The CSRF cookie is set.")
        answer["X-CSRFToken"] = get_token(request._request)  # pages of other origins cannot read the cookie
        return answer


class ResetPassword(OpenOperation):
    @declared(
        "fishjam_reset_password",
        "Have a link mailed that sets a new password, if the address is known",
        200,
        DetailSerializer,
        *(422, 429),
        request=ResetSerializer,
    )
    def post(self, request: Request) -> Response:
        email = self.taken(ResetSerializer)["email"]
        services.spend("reset", address_of(request._request) or "", RESETS, 3600)
        services.ask_for_reset(email)
        return detail("If there is such a user, a mail is on its way.")


class ConfirmReset(OpenOperation):
    @declared(
        "fishjam_confirm_reset_password",
        "Set a new password by a mailed token",
        200,
        DetailSerializer,
        *(400, 403, 404, 422),
        request=NewPasswordSerializer,
        parameters=[USER_UUID, TOKEN],
    )
    def post(self, request: Request, user_uuid: str, token: str) -> Response:
        key = read_uuid(user_uuid, "user_uuid")
        services.confirm_reset(user_uuid=key, token=token, password=self.taken(NewPasswordSerializer)["password"])
        return detail("The password is set.")


class ChangePassword(Operation):
    changes: ClassVar[str] = TokenScope.ADMIN

    @declared(
        "fishjam_change_password",
        "Change the password; other sessions end",
        200,
        DetailSerializer,
        *(400, 401, 403, 422),
        request=ChangePasswordSerializer,
    )
    def post(self, request: Request) -> Response:
        user, given = user_of(request), self.taken(ChangePasswordSerializer)
        prove_old(request, user, given.get("old_password"))
        changed = services.change_password(user=user, password=given["new_password"])
        if request.auth is None:
            update_session_auth_hash(request._request, changed)
        return detail("The password is changed.")


def prove_old(request: Request, user: User, old: Any) -> None:
    """Check the present password; who has none may set one in a session. Raises WrongPassword, SessionNeeded."""
    if not user.has_usable_password():
        demand_session(request)
        return
    if old is None:
        raise WrongPassword
    try:
        check_password(request._request, user.username, old)
    except WrongCredentials as error:
        raise WrongPassword from error
    except TooManyAttempts as error:
        raise WrongPassword("The old password was wrong too often. Try again later.") from error
