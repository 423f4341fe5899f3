"""Settings, read from the environment: safe by default, `NAME_FILE` for secrets.

Every variable is described in README.md. What cannot be read is reported by the numbered system
checks of `controlplane.checks`, with a hint.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.templatetags.static import static

from controlplane.core.env import Fault, Reader
from controlplane.core.keys import development_keys
from controlplane.rest_settings import REST_FRAMEWORK as REST_FRAMEWORK
from controlplane.rest_settings import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from controlplane.schedules import SCHEDULES

BASE_DIR = Path(__file__).resolve().parent.parent
env = Reader()

# --- What kind of deployment this is -------------------------------------------------------------

DEBUG = env.flag("DEBUG")
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data"))).resolve()
_kept = development_keys(DATA_DIR / "keys.json") if DEBUG else {"SECRET_KEY": "", "ENCRYPTION_KEY": ""}
SECRET_KEY = env.text("SECRET_KEY") or _kept["SECRET_KEY"]
# The first key encrypts, all of them decrypt: put a new one in front to rotate.
ENCRYPTION_KEYS = env.names("ENCRYPTION_KEYS") or [key for key in [_kept["ENCRYPTION_KEY"]] if key]
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
# Front ends on other origins, with the sessions of those who use them; those that change something are named in
# CSRF_TRUSTED_ORIGINS, too.
CORS_ALLOWED_ORIGINS = env.names("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_CREDENTIALS = True
CORS_EXPOSE_HEADERS = ("Retry-After", "X-CSRFToken")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
FORCE_SCRIPT_NAME = env.text("FORCE_SCRIPT_NAME") or None

# --- Web server ----------------------------------------------------------------------------------

WEB_THREADS = env.whole("WEB_THREADS", 256, minimum=4)
WEB_DATABASE_CONNECTIONS = env.whole("WEB_DATABASE_CONNECTIONS", 8, minimum=2)
# Of one process. The other threads are left to requests, however many follow what jobs write and what happens.
FOLLOWERS_AT_MOST = WEB_THREADS * 3 // 4

# --- Local provider ------------------------------------------------------------------------------

LOCAL_REGION = env.text("LOCAL_REGION", "local")
LOCAL_QUEUES = env.names("LOCAL_QUEUES", ("default",))
LOCAL_VCPUS = env.whole("LOCAL_VCPUS", os.cpu_count() or 1, minimum=1)
LOCAL_MEMORY_MIB = env.whole(
    "LOCAL_MEMORY_MIB", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4 // 2**20, minimum=64
)
LOCAL_UNISOLATED = env.flag("LOCAL_UNISOLATED")
LOCAL_ISOLATION = env.flag("LOCAL_ISOLATION", True)
LOCAL_READABLE_PATHS = env.names(
    "LOCAL_READABLE_PATHS", () if sys.base_prefix.startswith("/usr") else (sys.base_prefix,)
)
# How local jobs are run: as processes, shut in by bubblewrap, or in containers of Docker or Podman.
LOCAL_RUNTIME = env.text("LOCAL_RUNTIME", "process")
if LOCAL_RUNTIME not in ("process", "docker"):
    env.faults.append(Fault("LOCAL_RUNTIME", "process or docker"))
LOCAL_DOCKER_HOST = env.text("LOCAL_DOCKER_HOST")
LOCAL_DOCKER_PULL = env.text("LOCAL_DOCKER_PULL", "missing")
if LOCAL_DOCKER_PULL not in ("missing", "never", "always"):
    env.faults.append(Fault("LOCAL_DOCKER_PULL", "missing, never or always"))
    LOCAL_DOCKER_PULL = "missing"
LOCAL_DOCKER_NETWORK = env.text("LOCAL_DOCKER_NETWORK", "bridge")
LOCAL_DOCKER_READ_ONLY = env.flag("LOCAL_DOCKER_READ_ONLY")
LOCAL_DOCKER_PIDS = env.whole("LOCAL_DOCKER_PIDS", 1024)
LOCAL_DOCKER_USER = env.text("LOCAL_DOCKER_USER")
LOCAL_DISK_FLOOR_MIB = env.whole("LOCAL_DISK_FLOOR_MIB", 512)
# Folders of this machine that mounts of Seed jobs may lie in: none, unless said so.
LOCAL_MOUNT_ROOTS = env.names("LOCAL_MOUNT_ROOTS")
STAGING_TIMEOUT_SECONDS = env.whole("STAGING_TIMEOUT_SECONDS", 6 * 3600, minimum=1)
LOCAL_ROOT = DATA_DIR / "local" / LOCAL_REGION
RUN_DIR = DATA_DIR / "run" / LOCAL_REGION
# Where processes leave what they count. prometheus-client wants it in the environment before it is imported.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(RUN_DIR / "metrics")

# --- Where we are --------------------------------------------------------------------------------

# Names what we make in clouds: two deployments that share an account have two names.
DEPLOYMENT = env.text("DEPLOYMENT", "controlplane")
# The address at which machines of clouds reach us; and the keys of PubNub that /get-info hands out to them.
PUBLIC_URL = env.text("PUBLIC_URL").rstrip("/")
PUBNUB_PUBLISH_KEY = env.text("PUBNUB_PUBLISH_KEY")
PUBNUB_SUBSCRIBE_KEY = env.text("PUBNUB_SUBSCRIBE_KEY")

# --- Accounts ------------------------------------------------------------------------------------

# Who may sign up: nobody, who has an invitation, or everybody.
SIGN_UP = env.text("SIGN_UP", "closed")
if SIGN_UP not in ("closed", "invite", "open"):
    env.faults.append(Fault("SIGN_UP", "closed, invite or open"))
    SIGN_UP = "closed"
# Where links in mails lead: the pages of this deployment, unless another front end has pages at the same paths.
ACCOUNT_URL = env.text("ACCOUNT_URL").rstrip("/") or PUBLIC_URL or ("http://127.0.0.1:8000" if DEBUG else "")
DEFAULT_INSTANCE_LIMIT = env.whole("DEFAULT_INSTANCE_LIMIT", 5)
FREE_TIER_JELLYSECONDS = env.whole("FREE_TIER_JELLYSECONDS", 604_800)
FREE_TIER_GRACE_HOURS = env.whole("FREE_TIER_GRACE_HOURS", 72)
# May a token make tokens, and close the account, on the Fishjam surface? Else it takes a session.
TOKENS_MAY_MANAGE_ACCOUNT = env.flag("TOKENS_MAY_MANAGE_ACCOUNT")
# For whom Google's ID tokens are made that people sign in with; without it nobody does.
GOOGLE_CLIENT_ID = env.text("GOOGLE_CLIENT_ID")
# Where feedback is posted: an incoming webhook of Slack, whose address is a secret; without it nowhere.
SLACK_WEBHOOK_URL = env.text("SLACK_WEBHOOK_URL").strip()
PASSWORD_RESET_TIMEOUT = env.whole("PASSWORD_RESET_TIMEOUT_SECONDS", 24 * 3600, minimum=60)
VERIFICATION_TIMEOUT_SECONDS = env.whole("VERIFICATION_TIMEOUT_SECONDS", 7 * 24 * 3600, minimum=60)
EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.whole("EMAIL_PORT", 25, minimum=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL")
EMAIL_TIMEOUT = env.whole("EMAIL_TIMEOUT_SECONDS", 20, minimum=1)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "controlplane@localhost")
STAFF_TOTP = env.flag("STAFF_TOTP")  # the admin asks staff for a one-time code after the password
OTP_TOTP_ISSUER = DEPLOYMENT
# Networks that addresses which callers give may lie in beside the internet: all that is there is open to them.
CALLABLE_NETWORKS = env.names("CALLABLE_NETWORKS")
WEBHOOK_THREADS = env.whole("WEBHOOK_THREADS", 32, minimum=4)
MAX_WEBHOOKS = env.whole("MAX_WEBHOOKS", 20, minimum=1)  # of one user

# --- Clouds --------------------------------------------------------------------------------------

AWS_REGIONS = env.names("AWS_REGIONS")
# The queues of each region, for jobs that name none: {"eu-central-1": {"HIGH": "urgent", "LOW": "bulk"}}.
AWS_BATCH_QUEUES = env.document("AWS_BATCH_QUEUES", {})
AWS_BATCH_PLATFORM = env.text("AWS_BATCH_PLATFORM", "EC2")
AWS_BATCH_JOB_ROLE = env.text("AWS_BATCH_JOB_ROLE")
AWS_BATCH_EXECUTION_ROLE = env.text("AWS_BATCH_EXECUTION_ROLE")
AWS_BATCH_PUBLIC_IP = env.flag("AWS_BATCH_PUBLIC_IP")
# Where machines of instance jobs stand: {"eu-central-1": {"subnets": ["subnet-…"], "security_groups": ["sg-…"]}}.
# Long-running containers stand in the same subnets, with "container_security_groups" if there are any.
AWS_EC2_NETWORKS = env.document("AWS_EC2_NETWORKS", {})
AWS_EC2_INSTANCE_PROFILE = env.text("AWS_EC2_INSTANCE_PROFILE")
AWS_EC2_KEY_NAME = env.text("AWS_EC2_KEY_NAME")
# May an instance job take a machine on demand when there is no spot machine?
AWS_EC2_ON_DEMAND = env.flag("AWS_EC2_ON_DEMAND")
# The clusters of long-running containers: {"eu-central-1": "containers"}; what starting them takes, what they may do,
# whether each has a public address, and where their output is.
AWS_ECS_CLUSTERS = env.document("AWS_ECS_CLUSTERS", {})
AWS_ECS_EXECUTION_ROLE = env.text("AWS_ECS_EXECUTION_ROLE", AWS_BATCH_EXECUTION_ROLE)
AWS_ECS_TASK_ROLE = env.text("AWS_ECS_TASK_ROLE")
AWS_ECS_PUBLIC_IP = env.flag("AWS_ECS_PUBLIC_IP")
AWS_ECS_LOG_GROUP = env.text("AWS_ECS_LOG_GROUP", "/ecs/controlplane")
# Whose jobs run in an account of their own: {"acme": {"role_arn": "arn:aws:iam::…", "external_id": "…"}}.
AWS_CUSTOMER_ROLES = env.document("AWS_CUSTOMER_ROLES", {})
AZURE_REGION = env.text("AZURE_REGION")
AZURE_BATCH_ENDPOINT = env.text("AZURE_BATCH_ENDPOINT").rstrip("/")
# The pools, for jobs that name none: {"HIGH": "urgent", "LOW": "bulk"}; how many nodes each may have; and how one is
# made that is not there.
AZURE_BATCH_POOLS = env.document("AZURE_BATCH_POOLS", {})
AZURE_BATCH_MAX_NODES = env.document("AZURE_BATCH_MAX_NODES", {})
AZURE_BATCH_NEW_POOL = env.document("AZURE_BATCH_NEW_POOL", {})
# Name and key of the account; else a managed identity, or whatever azure-identity finds.
AZURE_BATCH_ACCOUNT = env.text("AZURE_BATCH_ACCOUNT")
AZURE_BATCH_ACCOUNT_KEY = env.text("AZURE_BATCH_ACCOUNT_KEY")
AZURE_CLIENT_ID = env.text("AZURE_CLIENT_ID")
AZURE_BATCH_RESOURCE_ID = env.text("AZURE_BATCH_RESOURCE_ID")
AZURE_CA_FILE = env.text("AZURE_CA_FILE")

# --- What containers tell -----------------------------------------------------------------------

# Who is asked for the metrics and the logs of long-running containers: a Prometheus and a Loki of staff's choice. The
# token is sent as a bearer's; with a user it is that user's password. Without a Loki logs are read where they run.
PROMETHEUS_URL = env.text("PROMETHEUS_URL").strip().rstrip("/")
PROMETHEUS_USER = env.text("PROMETHEUS_USER").strip()
PROMETHEUS_TOKEN = env.text("PROMETHEUS_TOKEN").strip()
LOKI_URL = env.text("LOKI_URL").strip().rstrip("/")
LOKI_TENANT = env.text("LOKI_TENANT").strip()
LOKI_USER = env.text("LOKI_USER").strip()
LOKI_TOKEN = env.text("LOKI_TOKEN").strip()

# --- Payments ------------------------------------------------------------------------------------

# The secret key of a Stripe account, without which nobody pays here; the secrets that Stripe signs its webhooks with,
# several while one takes the other's place; and where Stripe is, its own address when empty.
STRIPE_API_KEY = env.text("STRIPE_API_KEY").strip()
STRIPE_WEBHOOK_SECRETS = env.names("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = env.text("STRIPE_API_BASE").strip().rstrip("/")
# How bills get there: as invoices with an item for each line, or by day as events of the meter of this name.
STRIPE_BILLING = env.text("STRIPE_BILLING", "invoice-items").strip()
STRIPE_METER_EVENT = env.text("STRIPE_METER_EVENT", "compute_cents").strip()

# --- Files ---------------------------------------------------------------------------------------

# Where workspaces that are folders may lie; and addresses beside AWS's and Azure's that storage may be at.
WORKSPACE_ROOTS = env.names("WORKSPACE_ROOTS", (str(DATA_DIR / "workspaces"),))
if not all(os.path.isabs(root) for root in WORKSPACE_ROOTS):
    env.faults.append(Fault("WORKSPACE_ROOTS", "absolute paths of folders, comma-separated"))
STORAGE_ENDPOINTS = env.names("STORAGE_ENDPOINTS")
MAX_UPLOAD_MIB = env.whole("MAX_UPLOAD_MIB", 5120, minimum=1)
# Where programs of MapReduce jobs are kept: a broker as workspaces have them.
ARTIFACT_STORAGE = env.document("ARTIFACT_STORAGE", {"type": "host", "host_path": str(DATA_DIR / "artifacts")})
MAX_ARTIFACT_MIB = env.whole("MAX_ARTIFACT_MIB", 512, minimum=1)
# Where outputs of jobs at clouds are copied to: a broker as workspaces have them.
OUTPUT_STORAGE = env.document("OUTPUT_STORAGE", {"type": "host", "host_path": str(DATA_DIR / "outputs")})
# What MapReduce jobs may read and write beside storage: folders of this machine, open to everybody who may submit.
MAPREDUCE_FOLDERS = env.names("MAPREDUCE_FOLDERS")
if not all(os.path.isabs(folder) for folder in MAPREDUCE_FOLDERS):
    env.faults.append(Fault("MAPREDUCE_FOLDERS", "absolute paths of folders, comma-separated"))
# What lies between the tasks of MapReduce jobs at clouds: a broker as workspaces have them, of S3 or Azure. Without
# one there are no such jobs.
MAPREDUCE_CLOUD_STORAGE = env.document("MAPREDUCE_CLOUD_STORAGE", {})
# Where jobs of the MapReduce surface run, which has no word for it: local, or a cloud and its region.
MAPREDUCE_PLACE = env.text("MAPREDUCE_PLACE", "local")
# Where s3://bucket/key is; AWS's own when empty.
MAPREDUCE_S3_ENDPOINT = env.text("MAPREDUCE_S3_ENDPOINT")
MAPREDUCE_IMAGE = env.text("MAPREDUCE_IMAGE", "python:3.11-slim")
MAPREDUCE_TASK_TIMEOUT_SECONDS = env.whole("MAPREDUCE_TASK_TIMEOUT_SECONDS", 6 * 3600, minimum=1)
SPLIT_SIZE = env.whole("SPLIT_SIZE", 64 * 2**20, minimum=1)
# Whom requests without a token act for on the MapReduce surface: nobody, unless said so.
MAPREDUCE_ANONYMOUS_USER = env.text("MAPREDUCE_ANONYMOUS_USER")

# --- Jobs ----------------------------------------------------------------------------------------

DEFAULT_VCPUS_MILLI = env.whole("DEFAULT_VCPUS_MILLI", 500, minimum=1)
DEFAULT_MEMORY_MIB = env.whole("DEFAULT_MEMORY_MIB", 512, minimum=1)
# Whom Seed jobs and recipes are for that staff submit without a word on the customer, as clients of Scale do.
DEFAULT_CUSTOMER = env.text("DEFAULT_CUSTOMER", "default")
DEFAULT_MAX_TRIES = env.whole("DEFAULT_MAX_TRIES", 3, minimum=1)
RETRY_BACKOFF_SECONDS = env.whole("RETRY_BACKOFF_SECONDS", 2)
LOG_CAP_MIB = env.whole("LOG_CAP_MIB", 64, minimum=1)
# What grows, and for how many days it is kept. Executed daily by jobs.tasks.apply_retention.
RETENTION_DAYS = {
    "executions": env.whole("RETENTION_EXECUTIONS_DAYS", 30, minimum=1),
    "events": env.whole("RETENTION_EVENTS_DAYS", 365, minimum=1),
    "webhook_deliveries": env.whole("RETENTION_WEBHOOK_DELIVERIES_DAYS", 30, minimum=2),
    "idempotency_keys": 1,
    "rates": 2,
    "stripe_events": env.whole("RETENTION_STRIPE_EVENTS_DAYS", 90, minimum=30),
    "load_samples": env.whole("RETENTION_LOAD_DAYS", 90, minimum=32),
    "operations": env.whole("RETENTION_OPERATIONS_DAYS", 90, minimum=1),
    "failures": env.whole("RETENTION_FAILURES_DAYS", 90, minimum=32),
    "failed_tasks": env.whole("RETENTION_FAILED_TASKS_DAYS", 14, minimum=1),
}

# --- Django --------------------------------------------------------------------------------------

# How the admin looks: every page works on Django's own, too.
ADMIN_THEME = env.text("ADMIN_THEME", "unfold")
if ADMIN_THEME not in ("unfold", "plain"):
    env.faults.append(Fault("ADMIN_THEME", "unfold or plain"))
INSTALLED_APPS = [
    *(["unfold.apps.BasicAppConfig"] if ADMIN_THEME == "unfold" else []),
    "controlplane.apps.ControlPlaneAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
    *("django_otp", "django_otp.plugins.otp_totp"),
    "corsheaders",
    "controlplane.apps.ControlPlaneConfig",
    "accounts.apps.AccountsConfig",
    "jobtypes.apps.JobTypesConfig",
    "clusters.apps.ClustersConfig",
    "jobs.apps.JobsConfig",
    "billing.apps.BillingConfig",
]
MIDDLEWARE = [
    "controlplane.tracing.RequestMiddleware",
    # Before the surfaces, which answer some requests themselves.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "controlplane.surfaces.SurfaceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "controlplane.tracing.SessionUserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "controlplane.urls"
WSGI_APPLICATION = "controlplane.wsgi.application"
APPEND_SLASH = False
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# The first refuses who has failed too often, before the second hashes anything.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
DATETIME_FORMAT = "Y-m-d H:i:s"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
if DEBUG:
    # Development serves from the packages; WhiteNoise warns of a missing folder all the same.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20

LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = {
    "SITE_TITLE": "Control plane",
    "SITE_HEADER": "Control plane",
    "SITE_SUBHEADER": "for compute",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("controlplane/favicon.svg")}
    ],
    "SHOW_VIEW_ON_SITE": False,
    # Its own purple is too dark to be read on dark ground.
    "COLORS": {
        "primary": {
            "50": "#eff6ff", "100": "#dbeafe", "200": "#bfdbfe", "300": "#93c5fd", "400": "#60a5fa", "500": "#3b82f6",
            "600": "#2563eb", "700": "#1d4ed8", "800": "#1e40af", "900": "#1e3a8a", "950": "#172554",
        }
    },
    "SIDEBAR": {"show_search": False, "navigation": "controlplane.admin_site.navigation"},
}  # fmt: skip

# --- Database ------------------------------------------------------------------------------------

_database = env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'controlplane.sqlite3'}")
# django-q2's broker closes connections that are older than this on every operation: 0 would reconnect each time.
_database["CONN_MAX_AGE"] = 600
_database.setdefault("OPTIONS", {})
if _database["ENGINE"].endswith("sqlite3"):
    # WAL lets readers and a writer work side by side; IMMEDIATE takes the write lock at BEGIN, so that a
    # transaction that reads first cannot fail when it comes to write; writers wait up to the timeout.
    _database["OPTIONS"].update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;",
    )
else:
    if "IS_WEB_PROCESS" in os.environ:  # deploy/gunicorn.conf.py sets it
        # Many threads, few connections. They are checked when one fails (core.connections.mend): a check at every
        # checkout would be one more round trip for every request.
        _database["CONN_MAX_AGE"] = 0
        _database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": WEB_DATABASE_CONNECTIONS, "timeout": 5.0}
    else:
        # Workers are forked, and a pool's threads do not survive that (check E006).
        _database["CONN_HEALTH_CHECKS"] = True
    # Without a threshold psycopg prepares nothing, not even what asks for it (core.sets.run).
    _database["OPTIONS"].setdefault("prepare_threshold", 5)
    # jit costs more than it brings on short statements. Only our own statements are prepared (core.sets.run), and
    # each is written for one plan: left to itself the server plans some of them anew every time, for as much CPU
    # as they take to run.
    _database["OPTIONS"].setdefault("options", "-c jit=off -c plan_cache_mode=force_generic_plan")
DATABASES = {"default": _database}

# --- Background work: django-q2 ------------------------------------------------------------------

# Which functions a queue may run, and on which cluster: enqueue() and the broker refuse all others.
PULSE = f"pulse-{LOCAL_REGION}"
CLOUDS = "clouds"
WEBHOOKS = "webhooks"
CONTAINERS = "containers"
TASKS = {
    "jobs.tasks.run_pass": PULSE,
    "jobs.tasks.run_clouds": CLOUDS,
    "accounts.tasks.run_webhooks": WEBHOOKS,
    "clusters.tasks.run_keepers": CONTAINERS,
    **{schedule.path: "work" for schedule in SCHEDULES},
    "accounts.tasks.send_verification": "work",
    "accounts.tasks.send_webhook_disabled": "work",
    "accounts.tasks.send_reset": "work",
    "accounts.tasks.send_limit_decision": "work",
    "accounts.tasks.post_feedback": "work",
    "billing.tasks.handle_stripe_event": "work",
    "billing.tasks.compare_month": "work",
    "jobs.tasks.answer_canary": "work",
    "jobs.tasks.carry_on": "work",
    "jobs.tasks.advance_recipe": "work",
    "jobs.tasks.look_for_input": "work",
    "jobs.tasks.rename_failures": "work",
    "jobs.tasks.stop_all_of": "work",
    "billing.tasks.send_budget_mail": "work",
    "billing.tasks.send_free_tier_mail": "work",
}
Q_CLUSTER: dict[str, Any] = {
    "name": "work",
    "workers": 2,
    "queue_limit": 2,
    "timeout": 60,
    "retry": 90,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "guard_cycle": 0.5,
    # A worker that recycles itself would look like one that was killed: the supervisor restarts the cluster then.
    "recycle": 10**9,
    "orm": "default",
    "broker_class": "controlplane.core.broker.Broker",
    "log_level": env.text("LOG_LEVEL", "WARNING"),
    "ALT_CLUSTERS": {
        name: {"workers": 1, "queue_limit": 1, "timeout": 60, "retry": 90}
        for name in (PULSE, CLOUDS, WEBHOOKS, CONTAINERS)
    },
}

# --- Security ------------------------------------------------------------------------------------

BEHIND_TLS_PROXY = env.flag("BEHIND_TLS_PROXY")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES", not DEBUG)
SESSION_COOKIE_HTTPONLY = True
# With which requests from other sites browsers send the cookies: Lax with links only, None with all of them.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = env.text("SESSION_COOKIE_SAMESITE", "Lax")
if SESSION_COOKIE_SAMESITE not in ("Strict", "Lax", "None"):
    env.faults.append(Fault("SESSION_COOKIE_SAMESITE", "Strict, Lax or None"))
    SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Not "no-referrer": with that, browsers post forms with `Origin: null`, which the CSRF check refuses.
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Failed sign-ins, counted by django-axes per user name and address. What is tried while locked out does not count,
# so nobody is kept out for longer by others' trying.
AXES_FAILURE_LIMIT = env.whole("AXES_FAILURE_LIMIT", 5, minimum=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.whole("AXES_COOLOFF_MINUTES", 15, minimum=1))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "accounts.api.signin.address_of"
AXES_LOCKOUT_CALLABLE = "accounts.api.signin.locked_out"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
AXES_RESET_ON_SUCCESS = AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

# --- Logging -------------------------------------------------------------------------------------

LOG_FORMAT = env.text("LOG_FORMAT", "text" if DEBUG else "json")
if LOG_FORMAT not in ("json", "text"):
    env.faults.append(Fault("LOG_FORMAT", "json or text"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"scrub": {"()": "controlplane.core.scrub.ScrubFilter"}},
    "formatters": {"line": {"()": "controlplane.core.logs.formatter", "style": LOG_FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["scrub"]}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "WARNING")},
    "loggers": {
        # Django's own handlers would print some lines twice, as they are.
        "django": {"handlers": [], "level": env.text("LOG_LEVEL", "INFO" if DEBUG else "WARNING")},
        "django.server": {"handlers": [], "level": env.text("LOG_LEVEL", "INFO"), "propagate": True},
        "controlplane": {"level": env.text("LOG_LEVEL", "INFO")},
        "jobs": {"level": env.text("LOG_LEVEL", "INFO")},
        "stripe": {"level": "WARNING"},  # below that it tells what people wrote
    },
}
SETTING_FAULTS = env.faults
