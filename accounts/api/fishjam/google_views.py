"""Fishjam's accounts of people who sign in with Google."""

from __future__ import annotations

from django.contrib.auth import login
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.fishjam.account_views import shown
from accounts.api.fishjam.base import OpenOperation, declared
from accounts.api.fishjam.serializers import GoogleLoginSerializer, GoogleRegisterSerializer, UserSerializer
from accounts.api.google import read_credential
from controlplane.core.errors import Forbidden, InvalidRequest

BACKEND = "django.contrib.auth.backends.ModelBackend"


class GoogleRegister(OpenOperation):
    @declared(
        "fishjam_google_register",
        "Make an account by an ID token of Google",
        201,
        UserSerializer,
        *(403, 409, 422),
        request=GoogleRegisterSerializer,
    )
    def post(self, request: Request) -> Response:
        given = self.taken(GoogleRegisterSerializer)
        claims = read_credential(given["credential"])
        try:
            user = services.register_with_google(claims, given["registration_token"])
        except InvalidRequest as error:  # an address that no user may have here
            raise Forbidden(error.message) from error
        login(request._request, user, backend=BACKEND)
        return shown(user, 201)


class GoogleLogin(OpenOperation):
    @declared(
        "fishjam_google_login",
        "Begin a session by an ID token of Google",
        200,
        UserSerializer,
        *(403, 404, 422),
        request=GoogleLoginSerializer,
    )
    def post(self, request: Request) -> Response:
        user = services.user_of_google(read_credential(self.taken(GoogleLoginSerializer)["credential"]))
        login(request._request, user, backend=BACKEND)
        return shown(user)
