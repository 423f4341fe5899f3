"""Who there is: customers, users with their roles, and tokens."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Upper
from django.utils import timezone
from django.utils.crypto import salted_hmac

from controlplane.core.beginnings import BeginningIndex


class Role(models.TextChoices):
    """What a user is to this deployment; admin includes operator includes monitor."""

    ADMIN = "admin"
    OPERATOR = "operator"
    MONITOR = "monitor"
    CUSTOMER = "customer"


class Feature(models.TextChoices):
    """What a user may use beyond what everybody may."""

    RECORDINGS = "recordings"


class TokenScope(models.TextChoices):
    """How far a token reaches, each as far as those before it, and none further than its owner."""

    READ = "read"
    SUBMIT = "submit"  # make jobs, recipes, files and artifacts
    MANAGE = "manage"  # change and delete what the owner may
    ADMIN = "admin"  # all that the owner may: users, tokens, the account, quotas, the scheduler


class Customer(models.Model):
    """The payer and tenant. Made at first mention by an operator's submit."""

    name = models.CharField(max_length=255, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [BeginningIndex(Upper("name"), name="customer_by_beginning")]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Finds users by name; they are made by accounts.services.create_user."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username=username)


def default_instance_limit() -> int:
    """How many instances a new user may have at a time."""
    limit: int = settings.DEFAULT_INSTANCE_LIMIT
    return limit


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in or owns tokens. `is_active` false is a disabled user: 401 everywhere.

    Who signed up is unverified until they have shown that the e-mail address is theirs. Who closed their account is
    anonymised: the row stays for what refers to it.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = models.CharField(max_length=150, unique=True)
    email = models.EmailField(null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.CUSTOMER)
    customer = models.ForeignKey(Customer, null=True, blank=True, on_delete=models.PROTECT, related_name="users")
    is_active = models.BooleanField("enabled", default=True)
    is_verified = models.BooleanField("verified", default=True, help_text="The e-mail address is known to be theirs.")
    google_subject = models.CharField(max_length=255, null=True, blank=True, unique=True, editable=False)
    instance_limit = models.PositiveIntegerField(default=default_instance_limit)
    allowed_features: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    has_used_instances = models.BooleanField(default=False)
    last_feedback_at = models.DateTimeField(null=True, blank=True, editable=False)
    anonymised_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    times_disabled = models.PositiveIntegerField(default=0, editable=False)

    # How far the credential of this request reaches: its token's scope. No column; a session reaches all the way.
    scope: str = TokenScope.ADMIN

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
        ]
        indexes = [
            BeginningIndex(Upper("username"), name="user_by_beginning"),
            BeginningIndex(Upper("email"), name="user_by_email_beginning"),
        ]

    def __str__(self) -> str:
        return self.username

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """What a session was begun with, and has to have still: the password, and never having been disabled since."""
        if not self.times_disabled:
            return super()._get_session_auth_hash(secret)  # type: ignore[misc, no-any-return] # the stubs lack it
        said = f"{self.times_disabled}\n{self.password}"
        return str(salted_hmac("accounts.sessions", said, secret=secret, algorithm="sha256").hexdigest())

    @property
    def is_staff(self) -> bool:
        """Staff may open the admin."""
        return self.role != Role.CUSTOMER


class ApiToken(models.Model):
    """A bearer token: only its digest is kept. An archived or expired one is refused at once."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=128, blank=True)
    scope = models.CharField(max_length=8, choices=TokenScope.choices, default=TokenScope.ADMIN)
    prefix = models.CharField(max_length=12, help_text="How the token begins, to tell it from others.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["user", "created_at"], name="token_of_user"),
            models.Index(fields=["prefix"], name="token_by_beginning", opclasses=["varchar_pattern_ops"]),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(scope__in=TokenScope.values), name="token_scope_known"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"
