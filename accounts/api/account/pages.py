"""The plain pages that links in mails lead to: they work without JavaScript, and change nothing when only opened."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from accounts import services
from controlplane.core.errors import ControlPlaneError


class TokenForm(forms.Form):
    """What the link carried, kept on the page."""

    token = forms.CharField(max_length=1024, widget=forms.HiddenInput)


class NewPasswordForm(TokenForm):
    user = forms.UUIDField(widget=forms.HiddenInput)
    password = forms.CharField(
        label="New password",
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
    )


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """Asks for one click: programs that follow links in mails do not verify anybody."""
    if request.method != "POST":
        return _page(request, "verify", form=TokenForm(initial={"token": request.GET.get("token", "")}))
    form = TokenForm(request.POST)
    try:
        services.verify(form.data.get("token", "") if form.is_valid() else "")
    except ControlPlaneError:
        return _page(request, "invalid", status=403, what="confirm your e-mail address")
    return _page(request, "done", said="Your e-mail address is confirmed. You can sign in now.")


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest) -> HttpResponse:
    """Asks for the new password; what is refused of it is said beside it."""
    if request.method != "POST":
        given = {name: request.GET.get(name, "") for name in ("user", "token")}
        return _page(request, "reset", form=NewPasswordForm(initial=given))
    form = NewPasswordForm(request.POST)
    if not form.is_valid():
        if {"user", "token"} & set(form.errors):
            return _page(request, "invalid", status=403, what="set a new password")
        return _page(request, "reset", status=400, form=form)
    wish = form.cleaned_data
    user_uuid: uuid.UUID = wish["user"]
    try:
        services.confirm_reset(user_uuid=user_uuid, token=wish["token"], password=wish["password"])
    except ControlPlaneError as error:
        if error.http_status != 400:
            return _page(request, "invalid", status=403, what="set a new password")
        form.add_error("password", error.message)
        return _page(request, "reset", status=400, form=form)
    return _page(request, "done", said="Your new password is set. You can sign in with it now.")


def _page(request: HttpRequest, name: str, *, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, f"account/{name}.html", context, status=status)
