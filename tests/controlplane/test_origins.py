"""Front ends on other origins: what browsers let them do with the sessions of those who use them."""

from __future__ import annotations

from typing import Any, Final

import pytest
from django.conf import settings as configured
from django.test import Client

from accounts import services
from accounts.models import User
from accounts.services.sign_up import verification_token
from tests.contracts.fishjam import AUTH, EMAIL, FEEDBACK, PASSWORD

pytestmark = pytest.mark.django_db
ORIGIN: Final = "https://console.example.com"
STRANGE: Final = "https://evil.example.com"
CORS: Final = "corsheaders.middleware.CorsMiddleware"
ALLOWED: Final = "Access-Control-Allow-Origin"


@pytest.fixture
def listed(settings: Any) -> None:
    """A deployment that names ORIGIN."""
    settings.CORS_ALLOWED_ORIGINS = settings.CSRF_TRUSTED_ORIGINS = [ORIGIN]
    kept = [each for each in configured.MIDDLEWARE if each != CORS]
    place = kept.index("controlplane.surfaces.SurfaceMiddleware")
    settings.MIDDLEWARE = [*kept[:place], CORS, *kept[place:]]


@pytest.fixture
def ada(settings: Any) -> User:
    settings.SIGN_UP = "open"
    user = services.sign_up(email=EMAIL, password=PASSWORD, registration_token="x")
    return services.verify(verification_token(user))


def preflight(path: str, origin: str = ORIGIN) -> Any:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-csrftoken",
    }
    return Client(headers=asked).options(path)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("path", [f"{AUTH}/sign-in", f"{AUTH}/sign-in/", FEEDBACK, "/api/v1/there-is-no-such-path"])
def test_a_preflight_of_a_listed_origin_is_answered_before_anybody_is_asked_for(path: str) -> None:
    answer = preflight(path)
    assert answer.status_code == 200
    assert answer.headers[ALLOWED] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert {"content-type", "x-csrftoken", "authorization"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert "origin" in answer.headers["Vary"].lower()


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("origin", [STRANGE, "http://console.example.com", "https://console.example.com:8443", "null"])
def test_another_origin_is_allowed_nothing(origin: str) -> None:
    assert ALLOWED not in preflight(FEEDBACK, origin).headers
    assert ALLOWED not in Client(headers={"Origin": origin}).get(f"{AUTH}/user").headers


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("path", ["/admin/login/", "/v6/users/", "/list", "/schema/", "/api-token-auth/", "/livez"])
def test_the_other_surfaces_and_the_admin_are_not_for_other_origins(path: str) -> None:
    assert ALLOWED not in preflight(path).headers
    assert ALLOWED not in Client(headers={"Origin": ORIGIN}).get(path).headers


def test_nothing_is_said_of_origins_where_none_is_listed() -> None:
    assert CORS not in configured.MIDDLEWARE
    assert ALLOWED not in preflight(FEEDBACK).headers
    assert ALLOWED not in Client(headers={"Origin": ORIGIN}).get(f"{AUTH}/user").headers


def _post(client: Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(path, body, content_type="application/json", headers=headers, secure=True)


@pytest.mark.usefixtures("listed", "ada")
def test_a_listed_front_end_signs_people_in_and_acts_in_their_session() -> None:
    client = Client(enforce_csrf_checks=True, headers={"Origin": ORIGIN})
    begun = _post(client, f"{AUTH}/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert (begun.status_code, begun.headers[ALLOWED]) == (200, ORIGIN)
    token = client.get(f"{AUTH}/csrf", secure=True)
    assert "X-CSRFToken" in token.headers["Access-Control-Expose-Headers"]
    said = {"feedback_type": "good", "message": "It flies."}
    assert _post(client, FEEDBACK, said).status_code == 403
    answer = _post(client, FEEDBACK, said, **{"X-CSRFToken": token.headers["X-CSRFToken"]})
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, ORIGIN)
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    strange = _post(client, FEEDBACK, said, **{"X-CSRFToken": token.headers["X-CSRFToken"], "Origin": STRANGE})
    assert (strange.status_code, ALLOWED in strange.headers) == (403, False)


@pytest.mark.usefixtures("listed")
def test_refusals_can_be_read_by_the_front_end() -> None:
    answer = Client(headers={"Origin": ORIGIN}).get(f"{AUTH}/user")
    assert (answer.status_code, answer.headers[ALLOWED]) == (401, ORIGIN)
    missing = Client(headers={"Origin": ORIGIN}).get("/api/v1/there-is-no-such-path")
    assert (missing.status_code, missing.headers[ALLOWED]) == (404, ORIGIN)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("same_site", ["Lax", "None", "Strict"])
def test_the_cookies_say_what_the_setting_says(same_site: str, settings: Any) -> None:
    settings.SESSION_COOKIE_SAMESITE = settings.CSRF_COOKIE_SAMESITE = same_site
    settings.SESSION_COOKIE_SECURE = True
    client = Client()
    answer = _post(client, f"{AUTH}/sign-in", {"email": EMAIL, "password": PASSWORD})
    session = answer.cookies["sessionid"]
    assert (session["samesite"], session["secure"], session["httponly"]) == (same_site, True, True)
    assert client.get(f"{AUTH}/csrf").cookies["csrftoken"]["samesite"] == same_site


def test_cookies_are_lax_unless_it_is_said_otherwise() -> None:
    assert configured.SESSION_COOKIE_SAMESITE == "Lax"
