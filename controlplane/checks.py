"""Numbered system checks of the settings: each says what is wrong and what to do. None asks the database."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from clusters.providers.errors import ProviderError
from clusters.providers.local import isolation
from clusters.queries import aws_config, azure_config, cloud_regions
from controlplane.core import outside
from controlplane.core.errors import InvalidRequest
from controlplane.core.outside import read_networks
from controlplane.core.storage import AzureBroker, read_broker

Apps = Sequence[AppConfig] | None

# UPDATE … RETURNING came with this version.
SQLITE_AT_LEAST = (3, 35, 0)
ENGINE_SECONDS = 10
WITHOUT_WORKER = "python:3.11-slim"  # what MAPREDUCE_IMAGE is if nothing is said


@register(Tags.security)
def check_secret_key(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    try:
        present = bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        present = False
    if present:
        return []
    return [
        Error(
            "SECRET_KEY is not set.",
            hint="Give a long random text in SECRET_KEY or SECRET_KEY_FILE; with DEBUG=1 one is made and kept.",
            id="controlplane.E001",
        )
    ]


@register(Tags.security)
def check_encryption_keys(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if not settings.ENCRYPTION_KEYS:
        return [
            Error(
                "ENCRYPTION_KEYS is not set.",
                hint="Give one or more Fernet keys in ENCRYPTION_KEYS or ENCRYPTION_KEYS_FILE, the one that encrypts "
                f"first. {_MAKE_KEY}",
                id="controlplane.E002",
            )
        ]
    return [
        Error(
            f"Number {number} of ENCRYPTION_KEYS is not a Fernet key.",
            hint=f"A Fernet key is 32 bytes in URL-safe base64. {_MAKE_KEY}",
            id="controlplane.E003",
        )
        for number, key in enumerate(settings.ENCRYPTION_KEYS, 1)
        if not _is_fernet_key(key)
    ]


_MAKE_KEY = "Make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


@register("settings")
def check_readable(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{fault.name} is not {fault.expected}.",
            hint=f"Set {fault.name} to {fault.expected}, or leave it out for its default.",
            id="controlplane.E004",
        )
        for fault in settings.SETTING_FAULTS
    ]


@register("settings")
def check_sqlite_version(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") and sqlite3.sqlite_version_info < SQLITE_AT_LEAST:
        return [
            Error(
                f"Python's SQLite library is {sqlite3.sqlite_version}.",
                hint="Use a Python with SQLite 3.35 or newer, or name a PostgreSQL in DATABASE_URL.",
                id="controlplane.E005",
            )
        ]
    return []


@register("settings")
def check_no_pool(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"].get("OPTIONS", {}).get("pool"):
        return [
            Error(
                "The database is configured with a connection pool.",
                hint="Take pool out of DATABASE_URL and IS_WEB_PROCESS out of the environment: workers are forked, and "
                "a pool's threads do not survive that. Only the web server has a pool (deploy/gunicorn.conf.py).",
                id="controlplane.E006",
            )
        ]
    return []


@register("settings")
def check_queue_times(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    shared = settings.Q_CLUSTER
    clusters = {shared["name"]: shared, **{name: {**shared, **own} for name, own in shared["ALT_CLUSTERS"].items()}}
    return [
        Error(
            f"Queue {name} would repeat a task ({conf.get('retry')} s) before it times out ({conf.get('timeout')} s).",
            hint="In Q_CLUSTER, retry must be greater than timeout, and both must be set.",
            id="controlplane.E007",
        )
        for name, conf in clusters.items()
        if not conf.get("timeout") or conf.get("retry", 0) <= conf["timeout"]
    ]


@register("settings")
def check_isolation(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.LOCAL_RUNTIME == "docker":
        return []
    works, why = isolation.probe() if settings.LOCAL_ISOLATION else (False, "LOCAL_ISOLATION is off")
    if works:
        return []
    if settings.MAPREDUCE_ANONYMOUS_USER:
        return [
            Error(
                f"Anybody may bring programs, and jobs on this machine are not isolated: {why}.",
                hint="Install bubblewrap, or unset MAPREDUCE_ANONYMOUS_USER.",
                id="controlplane.E008",
            )
        ]
    if settings.DEBUG or settings.LOCAL_UNISOLATED:
        return [
            Warning(
                f"Jobs on this machine are not isolated, and those of customers will be refused: {why}.",
                hint="Install bubblewrap. Without it a job can read this deployment's files and keys, so only "
                "admins and operators may run any.",
                id="controlplane.W002",
            )
        ]
    return [
        Warning(
            f"Jobs on this machine cannot be isolated, so it will run none: {why}.",
            hint="Install bubblewrap; or set LOCAL_UNISOLATED=1 to run those of admins and operators as they are.",
            id="controlplane.W001",
        )
    ]


@register("settings")
def check_artifact_storage(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    return _broker_faults("ARTIFACT_STORAGE", settings.ARTIFACT_STORAGE, "controlplane.E009")


def _broker_faults(name: str, broker: dict[str, Any], check_id: str) -> list[CheckMessage]:
    roots = [str(broker.get("host_path"))]
    try:
        read_broker({"broker": broker}, allowed_roots=roots, allowed_endpoints=settings.STORAGE_ENDPOINTS)
    except InvalidRequest as error:
        where = (error.field or "").removeprefix("configuration.")
        return [
            Error(
                f"{name} cannot be read: {where}: {error.message}",
                hint='Give a broker as workspaces have them, such as {"type": "host", "host_path": "/srv/files"}.',
                id=check_id,
            )
        ]
    return []


@register("settings")
def check_output_storage(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    return _broker_faults("OUTPUT_STORAGE", settings.OUTPUT_STORAGE, "controlplane.E011")


@register("settings")
def check_clouds(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """What is set of a cloud can be used as it stands; nothing is asked of the cloud."""
    found: list[CheckMessage] = []
    for cloud, region in cloud_regions():
        try:
            aws_config(region) if cloud == "aws" else azure_config()
        except (ValueError, TypeError) as error:
            hint = f"See the settings of {cloud} in the README."
            found.append(Error(f"{cloud}/{region} cannot be used: {error}.", hint=hint, id="controlplane.E010"))
    return found


@register("settings")
def check_mapreduce_cloud_storage(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    broker = settings.MAPREDUCE_CLOUD_STORAGE
    if not broker:
        return []
    if fault := _fault_of_cloud_storage(broker):
        return [_bad_cloud_storage(fault)]
    if settings.MAPREDUCE_IMAGE == WITHOUT_WORKER:
        return [
            Warning(
                f"MapReduce tasks at clouds will fail: {WITHOUT_WORKER} has no worker in it.",
                hint="Build deploy/mapreduce/Dockerfile, and name the image in MAPREDUCE_IMAGE as clouds pull it.",
                id="controlplane.W005",
            )
        ]
    return []


def _bad_cloud_storage(fault: str) -> CheckMessage:
    return Error(
        f"MAPREDUCE_CLOUD_STORAGE cannot be used: {fault}",
        hint="Give a broker of S3 or Azure with credentials, as workspaces have them, such as "
        '{"type": "s3", "bucket_name": "between", "credentials": {"access_key_id": …, "secret_access_key": …}}; or '
        "leave it out: then MapReduce jobs run at cloud local only.",
        id="controlplane.E012",
    )


def _fault_of_cloud_storage(broker: dict[str, Any]) -> str:
    if broker.get("type") in ("host", "nfs"):
        return "type: tasks at clouds see no folder of this machine."
    try:
        read = read_broker({"broker": broker}, allowed_endpoints=settings.STORAGE_ENDPOINTS)
    except InvalidRequest as error:
        return f"{(error.field or '').removeprefix('configuration.')}: {error.message}"
    if isinstance(read, AzureBroker) and read.account_key is None:
        return "broker.credentials: without a key of the account no addresses can be signed."
    return ""


@register("settings")
def check_mapreduce_place(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    place = settings.MAPREDUCE_PLACE
    if place == "local":
        return []
    fault = ""
    if tuple(place.split("/", 1)) not in cloud_regions():
        fault = "is no region of a cloud that is set up here"
    elif not settings.MAPREDUCE_CLOUD_STORAGE:
        fault = "runs no MapReduce jobs while MAPREDUCE_CLOUD_STORAGE is not set"
    if not fault:
        return []
    return [
        Error(
            f"MAPREDUCE_PLACE: {place} {fault}.",
            hint="Name a cloud and its region, such as aws/eu-central-1, or leave it out for this machine.",
            id="controlplane.E013",
        )
    ]


@register("settings")
def check_account_url(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.SIGN_UP == "closed" or settings.ACCOUNT_URL:
        return []
    return [
        Error(
            "People may sign up, and links in mails lead nowhere.",
            hint="Give the address of this deployment in PUBLIC_URL, or that of another front end in ACCOUNT_URL; "
            "or set SIGN_UP=closed.",
            id="controlplane.E014",
        )
    ]


@register("settings")
def check_callable_networks(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"CALLABLE_NETWORKS: {text} is not a network.",
            hint="Give networks as CIDR, comma-separated, such as 10.1.0.0/16 or fd00:1::/64, with no bits of a host.",
            id="controlplane.E015",
        )
        for text in read_networks(tuple(settings.CALLABLE_NETWORKS))[1]
    ]


@register(Tags.security)
def check_cookies(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.SESSION_COOKIE_SAMESITE != "None" or settings.SESSION_COOKIE_SECURE:
        return []
    return [
        Error(
            "SESSION_COOKIE_SAMESITE is None, and cookies are not sent over TLS only.",
            hint="Set SECURE_COOKIES=1, without which browsers keep no such cookie; or leave SESSION_COOKIE_SAMESITE "
            "at Lax.",
            id="controlplane.E021",
        )
    ]


@register(Tags.security)
def check_origins(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    left_out = [each for each in settings.CORS_ALLOWED_ORIGINS if each not in settings.CSRF_TRUSTED_ORIGINS]
    return [
        Warning(
            f"{origin} is in CORS_ALLOWED_ORIGINS and not in CSRF_TRUSTED_ORIGINS.",
            hint="A front end there reads what sessions may read, and changes nothing. Name it in both, if it should.",
            id="controlplane.W006",
        )
        for origin in left_out
    ]


@register("settings")
def check_slack(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if not settings.SLACK_WEBHOOK_URL:
        return []
    try:
        outside.check_address(settings.SLACK_WEBHOOK_URL)
    except outside.AddressRefused as error:
        return [
            Error(
                f"SLACK_WEBHOOK_URL cannot be called: {error.message}",
                hint="Give the address of an incoming webhook, such as https://hooks.slack.com/services/…; or leave it "
                "out: then feedback is kept and posted nowhere.",
                id="controlplane.E020",
            )
        ]
    return []


@register("settings")
def check_stripe(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.STRIPE_API_KEY and not _STRIPE_KEY.fullmatch(settings.STRIPE_API_KEY):
        hint = "Give the secret key of a Stripe account, or a restricted one: sk_live_…, rk_live_…, or sk_test_…."
        found.append(Error("STRIPE_API_KEY is not a secret key of Stripe.", hint=hint, id="controlplane.E023"))
    if settings.STRIPE_API_BASE and not _is_base(settings.STRIPE_API_BASE):
        hint = "Leave it out: it is for servers that stand in for Stripe in tests."
        found.append(Error("STRIPE_API_BASE is not the address of a server.", hint=hint, id="controlplane.E024"))
    if any(not each.startswith("whsec_") for each in settings.STRIPE_WEBHOOK_SECRETS):
        hint = "Give the signing secrets of webhook endpoints, whsec_…, comma-separated."
        found.append(Error("STRIPE_WEBHOOK_SECRET is not one of Stripe.", hint=hint, id="controlplane.E025"))
    found += _check_stripe_billing()
    if bool(settings.STRIPE_API_KEY) != bool(settings.STRIPE_WEBHOOK_SECRETS):
        words = "Of STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET only one is set."
        hint = "Set both (docs/payments.md): without the secret we do not hear of what is changed at Stripe."
        found.append(Warning(words, hint=hint, id="controlplane.W007"))
    return found


def _check_stripe_billing() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.STRIPE_BILLING not in BILLING_WAYS:
        hint = f"Give one of: {', '.join(BILLING_WAYS)} (docs/payments.md)."
        found.append(Error("STRIPE_BILLING is no way to send bills.", hint=hint, id="controlplane.E026"))
    if not 0 < len(settings.STRIPE_METER_EVENT) <= 100:
        hint = "Give the event name of a meter at Stripe, of up to 100 characters."
        found.append(Error("STRIPE_METER_EVENT is no name of an event.", hint=hint, id="controlplane.E027"))
    return found


BILLING_WAYS = ("invoice-items", "meters")
_STRIPE_KEY = re.compile(r"[sr]k_(?:live|test)_[A-Za-z0-9_]+")


@register("settings")
def check_stores_of_telemetry(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    named = {"PROMETHEUS_URL": settings.PROMETHEUS_URL, "LOKI_URL": settings.LOKI_URL}
    return [
        Error(
            f"{name} is not the address of a server.",
            hint=f"Give one such as http://127.0.0.1:9090, without a user or a query in it; or leave {name} out.",
            id="controlplane.E022",
        )
        for name, url in named.items()
        if url and not _is_base(url)
    ]


def _is_base(url: str) -> bool:
    """Can paths be hung on it?"""
    try:
        target = urlsplit(url)
        port = target.port
    except ValueError:
        return False
    plain = target.scheme in ("http", "https") and bool(target.hostname) and port != 0
    return plain and "@" not in target.netloc and not target.query and not target.fragment and url.isprintable()


@register("settings")
def check_container_engine(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if settings.LOCAL_RUNTIME != "docker":
        return []
    # The SDK takes its time to load: only those who use it wait for it.
    from clusters.providers.local.docker.engine import Engine

    with contextlib.closing(Engine(settings.LOCAL_DOCKER_HOST, call_seconds=ENGINE_SECONDS)) as engine:
        try:
            engine.name()
        except ProviderError as error:
            return [
                Warning(
                    f"Jobs on this machine wait: {error}.",
                    hint="Start Docker, or `podman system service`, and name its socket in LOCAL_DOCKER_HOST, such as "
                    "unix:///var/run/docker.sock; or set LOCAL_RUNTIME=process.",
                    id="controlplane.W004",
                )
            ]
    return []


@register(Tags.security)
def check_debug_is_private(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    public = [host for host in settings.ALLOWED_HOSTS if not _is_loopback(host)]
    if not settings.DEBUG or not public:
        return []
    return [
        Warning(
            f"DEBUG is on, and ALLOWED_HOSTS lets others in: {', '.join(public)}.",
            hint="Unset DEBUG, and give SECRET_KEY and ENCRYPTION_KEYS: error pages show what they should not.",
            id="controlplane.W003",
        )
    ]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
