"""Why somebody may call a path, or may not: each rule that decides it, with what it says.

The rules are asked where the surfaces ask them: the same finders, with the same `access.decide` inside, as the user
whose token it is. What a body or a query says is not looked at, and nothing is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db.models import QuerySet
from django.urls import Resolver404, resolve
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, queries
from accounts.api.fishjam.base import read_uuid
from accounts.api.scopes import needed
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.errors import TokenNotFound, WebhookNotFound
from accounts.models import ApiToken, Role, TokenScope, User
from billing.queries import find_bill, find_budget, visible_records
from billing.services import own_payment_details
from clusters.errors import ClusterNotFound, ContainerNotFound
from clusters.queries import find_cluster_for, find_container_for, find_price_for, own_clusters, own_containers
from controlplane.core.errors import ControlPlaneError, Forbidden, InvalidRequest, NotFound
from controlplane.surfaces import own_form
from jobs.queries import (
    find_any_execution,
    find_cluster,
    find_file,
    find_job,
    find_operation,
    visible_holds,
    visible_quotas,
)
from jobs.queries.artifacts import find_artifact
from jobs.queries.recipes import find_recipe

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
LONGEST: Final = 2048
Finder = Callable[[User, str, str], object]


# --- What the paths name ---------------------------------------------------------------------------


def _visible(rows: Callable[[User], QuerySet[Any]], area: str) -> Finder:
    """A finder of rows that are seen or not, and changed by whoever may change any of them."""

    def find(user: User, reference: str, action: str) -> None:
        if not rows(user).filter(pk=reference).exists():
            raise NotFound
        if action == access.CHANGE:
            access.demand(user, area, action)

    return find


def _own_token(user: User, reference: str, action: str) -> None:
    if not queries.own_live_tokens(user).filter(uuid=read_uuid(reference, "token_uuid")).exists():
        raise TokenNotFound


def _own_webhook(user: User, reference: str, action: str) -> None:
    if not queries.own_fishjam_webhooks(user).filter(uuid=read_uuid(reference, "uuid")).exists():
        raise WebhookNotFound


def _own_cluster(user: User, reference: str, action: str) -> None:
    if not own_clusters(user).filter(uuid=read_uuid(reference, "cluster_uuid_hex")).exists():
        raise ClusterNotFound


def _own_container(user: User, reference: str, action: str) -> None:
    if not own_containers(user).filter(uuid=read_uuid(reference, "jellyfish_uuid_hex")).exists():
        raise ContainerNotFound


def _limit_request(user: User, reference: str, action: str) -> object:
    return queries.find_limit_request_for(user, int(reference), action)


def _customer(user: User, reference: str, action: str) -> object:
    return queries.find_customer_for(user, int(reference))


def _price(user: User, reference: str, action: str) -> object:
    return find_price_for(user, int(reference))


def _execution(user: User, reference: str, action: str) -> object:
    return find_any_execution(user, reference)


def _operation(user: User, reference: str, action: str) -> object:
    return find_operation(user, int(reference), action)


def _failure_cluster(user: User, reference: str, action: str) -> object:
    return find_cluster(user, int(reference), action)


@dataclass(frozen=True, slots=True)
class Noun:
    """What a path is about: its area in the table of access; how its row is found, by each parameter that names it."""

    area: str
    finders: Mapping[str, Finder]


_JOB: Final[Mapping[str, Finder]] = {"pk": find_job, "job": find_job, "id": find_job, "execution": _execution}
_READ_ONLY: Final[Mapping[str, Finder]] = {}  # rows that are nobody's: the area says all
# By the word that a view says, else by its model.
NOUNS: Final[Mapping[str, Noun]] = {
    "job": Noun("jobs", _JOB),
    "execution": Noun("jobs", _JOB),
    "recipe": Noun("jobs", {"pk": find_recipe}),
    "loadsample": Noun("jobs", _READ_ONLY),
    "statistics": Noun("jobs", _READ_ONLY),
    "failurecluster": Noun("jobs", {"pk": _failure_cluster}),
    "file": Noun("files", {"pk": find_file, "job": find_job}),
    "artifact": Noun("artifacts", {"name": find_artifact, "filename": find_artifact}),
    "operation": Noun("operations", {"pk": _operation}),
    "operationfailure": Noun("operations", {"operation": _operation}),
    "hold": Noun("holds", {"pk": _visible(visible_holds, "holds")}),
    "gate": Noun("holds", {"pk": _visible(visible_quotas, "holds")}),
    "user": Noun("users", {"pk": queries.find_user_for}),
    "customer": Noun("customers", {"pk": _customer}),
    "apitoken": Noun("tokens", {"uuid": queries.find_token_for}),
    "own token": Noun("tokens", {"token_uuid": _own_token}),
    "event": Noun("events", _READ_ONLY),
    "webhook": Noun("webhooks", {"pk": queries.find_webhook_for}),
    "webhookdelivery": Noun("webhooks", {"webhook": queries.find_webhook_for}),
    "own webhook": Noun("webhooks", {"uuid": _own_webhook}),
    "own cluster": Noun("clusters", {"cluster_uuid_hex": _own_cluster}),
    "own container": Noun("clusters", {"jellyfish_uuid_hex": _own_container}),
    "own payments": Noun("payments", _READ_ONLY),
    "own bills": Noun("bills", _READ_ONLY),
    "usagerecord": Noun("bills", {"pk": _visible(visible_records, "bills")}),
    "usageday": Noun("bills", _READ_ONLY),
    "bill": Noun("bills", {"pk": find_bill}),
    "budget": Noun("budgets", {"pk": find_budget}),
    "price": Noun("prices", {"pk": _price}),
    "offer": Noun("prices", _READ_ONLY),
    **dict.fromkeys(("own recordings", "own metrics"), Noun("clusters", _READ_ONLY)),
    "cluster": Noun("clusters", {"pk": find_cluster_for, "cluster": find_cluster_for}),
    "rollout": Noun("clusters", {"cluster": find_cluster_for}),
    "container": Noun("clusters", {"pk": find_container_for}),
    **dict.fromkeys(("imageversion", "location"), Noun("clusters", _READ_ONLY)),
    "limitchangerequest": Noun("limit_requests", {"pk": _limit_request}),
    **dict.fromkeys(
        ("error", "jobtype", "jobtyperevision", "jobtypepolicy", "recipetype", "recipetyperevision", "workspace"),
        Noun("job_types", _READ_ONLY),
    ),
}
# Rows that no path names, since each caller has one at most.
OF_THE_CALLER: Final[Mapping[str, Callable[[User], object]]] = {"own payments": own_payment_details}
# What is not asked as its method and path would have it: what is for who reads all of an area; what an owner does
# not do either; what everybody does to themselves.
READS_ALL: Final[Mapping[tuple[str, str], str]] = {
    **dict.fromkeys(
        (
            *(("hold", "queue"), ("hold", "status"), ("loadsample", "list"), ("statistics", "list")),
            ("statistics", "retrieve"),
            ("failurecluster", "list"),
            ("container", "prometheus_targets"),
        ),
        "jobs",
    ),
    **dict.fromkeys((("price", "list"), ("offer", "list")), "prices"),
}
NOT_AS_OWNER: Final = frozenset(
    {
        *(("user", "create"), ("user", "partial_update"), ("file", "create")),
        *(("imageversion", "create"), ("imageversion", "partial_update")),
    }
)
OF_ONESELF: Final = frozenset(
    {
        *(("user", "me"), ("user", "change_me"), ("apitoken", "create"), ("limitchangerequest", "create")),
        ("own payments", "post"),
    }
)


# --- The rules, one after the other ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One that was asked: `passed`, and in words why."""

    rule: str
    passed: bool
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The rules up to the first that refuses; `status` is what that answers, 401, 403 or 404, None when all pass."""

    allowed: bool
    status: int | None
    rules: list[Rule]


class _Refused(Exception):
    def __init__(self, http_status: int) -> None:
        self.http_status = http_status


class _Asked:
    """The rules so far. A rule that does not pass ends it."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def rule(self, name: str, passed: bool, why: str, status: int) -> None:
        self.rules.append(Rule(name, passed, why))
        if not passed:
            raise _Refused(status)

    def ask(self, about: str, question: Callable[[], object]) -> None:
        """Note the decisions that `question` comes to."""
        with access.traced() as chain:
            try:
                question()
            except ControlPlaneError as error:
                self._note(chain)
                if error.http_status not in (403, 404):
                    raise
                if not chain or chain[-1].allowed:
                    self.rules.append(Rule("row", False, f"{about}: {error.message}"))
                raise _Refused(error.http_status) from error
        self._note(chain)
        if not chain:
            self.rules.append(Rule("row", True, about))

    def _note(self, chain: list[access.Decision]) -> None:
        for each in chain:
            hidden = "; so the row does not exist to them" if each.hidden else ""
            self.rules.append(Rule("access", each.allowed, each.why + hidden))


def explain(token: ApiToken, method: str, path: str) -> Explanation:
    """Why who comes with `token` may call `path` by `method`, or not. Raises InvalidRequest for what nobody can."""
    view, name, parameters = _operation_at(method, path)
    asked = _Asked()
    try:
        _ask(asked, token, view, method, name, parameters)
    except _Refused as refused:
        return Explanation(False, refused.http_status, asked.rules)
    return Explanation(True, None, asked.rules)


def _operation_at(method: str, path: str) -> tuple[Any, str, Mapping[str, str]]:
    """The view that answers, what it calls the operation, and what the path names."""
    try:
        found = resolve(own_form(path.partition("?")[0]))
    except Resolver404 as error:
        raise InvalidRequest("There is no such path.", field="path") from error
    view = getattr(found.func, "cls", None)
    if view is None or not (hasattr(view, "scopes") or hasattr(view, "scope") or view.authentication_classes == ()):
        raise InvalidRequest("This is a page; access to operations can be explained.", field="path")
    actions = {verb.upper(): action for verb, action in _actions(found.func).items()}
    verb = "GET" if method == "HEAD" else method
    takes = {"OPTIONS", *(actions or _methods_of(view))}
    if verb not in takes:
        raise InvalidRequest(f"{method} is not a method of this path.", field="method")
    return view, actions.get(verb, verb.lower()), found.kwargs


def _actions(function: Any) -> Mapping[str, str]:
    return getattr(function, "actions", None) or {}


def _methods_of(view: Any) -> list[str]:
    own: Sequence[str] = getattr(view, "methods", ())  # as an operation of Mapsor says it
    return list(own) or [verb for verb in METHODS if hasattr(view, verb.lower())]


def _ask(asked: _Asked, token: ApiToken, view: Any, method: str, name: str, parameters: Mapping[str, str]) -> None:
    if not view.authentication_classes:
        asked.rule("open", True, "everybody may, whoever they are", 401)
        return
    user = token.user
    live = token.archived_at is None and (token.expires_at is None or token.expires_at > timezone.now())
    asked.rule("token", live, f"the token {token.prefix}… is {'live' if live else 'archived or expired'}", 401)
    asked.rule("user", user.is_active, f"{user.username} is {'enabled' if user.is_active else 'disabled'}", 401)
    user.scope = token.scope
    scope = getattr(view, "scope", None) or needed(view, method, name)
    reach = access.reach(user, scope)
    asked.rule("scope", reach.allowed, reach.why, 403)
    if name in getattr(view, "for_sessions", ()):
        allowed = bool(settings.TOKENS_MAY_MANAGE_ACCOUNT)
        asked.rule("session", allowed, f"tokens {'may' if allowed else 'may not'} do this here", 403)
    if feature := getattr(view, "feature", ""):
        has = feature in user.allowed_features
        asked.rule("feature", has, f"{user.username} {'has' if has else 'does not have'} the feature {feature}", 403)
    if roles := getattr(view, "roles", ()):
        asked.rule("role", user.role in roles, f"the role is {user.role}; {', '.join(roles)} may", 403)
    _ask_of_row(asked, user, view, name, scope, parameters)


def _ask_of_row(asked: _Asked, user: User, view: Any, name: str, scope: str, parameters: Mapping[str, str]) -> None:
    word = getattr(view, "noun", "") or (view.queryset.model._meta.model_name if hasattr(view, "queryset") else "")
    noun = NOUNS.get(word)
    if noun is None or (word, name) in OF_ONESELF:
        return
    action = access.READ if scope == TokenScope.READ else access.CHANGE
    named = [(parameter, value) for parameter, value in parameters.items() if parameter in noun.finders]
    if word in OF_THE_CALLER:
        asked.ask(word, lambda: OF_THE_CALLER[word](user))
    elif (word, name) in READS_ALL:
        area = READS_ALL[word, name]
        asked.ask(f"all {area}", lambda: access.demand(user, area, access.READ))
    elif named:
        (parameter, value), *_ = named
        asked.ask(f"{parameter} {value}", lambda: noun.finders[parameter](user, str(value), action))
    if action == access.CHANGE and (not named or (word, name) in NOT_AS_OWNER):
        owner = None if (word, name) in NOT_AS_OWNER else user.pk
        asked.ask(word, lambda: access.demand(user, noun.area, action, owner_id=owner))
    elif not named and (word, name) not in READS_ALL and word not in OF_THE_CALLER:
        asked.rule("list", True, "a list shows what its reader may see", 403)


# --- The operation -----------------------------------------------------------------------------------


class RuleSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(help_text="token, user, scope, session, feature, role, access, row, list or open.")
    passed = serializers.BooleanField()
    why = serializers.CharField()


class AccessSerializer(serializers.Serializer[Any]):
    token_prefix = serializers.CharField()
    user = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    scope = serializers.ChoiceField(choices=TokenScope.choices)
    allowed = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True, help_text="What the refusal answers: 401, 403 or 404.")
    rules = RuleSerializer(many=True)


PARAMETERS: Final = [
    OpenApiParameter(
        "token_prefix",
        {"type": "string", "minLength": queries.TOKEN_PREFIX_LENGTH, "maxLength": queries.TOKEN_PREFIX_LENGTH},
        required=True,
        description="How the token begins, as lists of tokens show it. Never a whole token: addresses get into logs.",
    ),
    OpenApiParameter("method", str, required=True, enum=METHODS),
    OpenApiParameter(
        "path", {"type": "string", "maxLength": LONGEST}, required=True, description="Such as /v6/jobs/7/cancel/."
    ),
]


class Access(NativeViewSet):
    """Who may what, and why."""

    queryset = ApiToken.objects.none()
    serializer_class = AccessSerializer
    pagination_class = None
    filter_backends = ()
    roles: ClassVar = (Role.ADMIN, Role.OPERATOR, Role.MONITOR)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"explain": (400, 403, 404)}

    @extend_schema(
        summary="Why a token may call a path, or not",
        operation_id="explain_access",
        description="For staff: admins ask about everybody's tokens, others about their own. The rules are asked one "
        "after the other, up to the first that refuses; nothing is called, and no query or body is looked at.",
        parameters=PARAMETERS,
        responses=AccessSerializer,
    )
    def explain(self, request: Request) -> Response:
        actor = user_of(request)
        if actor.role not in self.roles:
            raise Forbidden("This is for staff.")
        given = {each.name: request.query_params.get(each.name, "") for each in PARAMETERS}
        method = given["method"].upper()
        if method not in METHODS:
            raise InvalidRequest(f"This is one of {', '.join(METHODS)}.", field="method")
        if not given["path"].startswith("/") or len(given["path"]) > LONGEST:
            raise InvalidRequest(f"This begins with / and has {LONGEST} characters at most.", field="path")
        token = _token(actor, given["token_prefix"])
        found = explain(token, method, given["path"])
        who = {"token_prefix": token.prefix, "user": token.user.username, "role": token.user.role, "scope": token.scope}
        return Response({**who, **asdict(found)})


def _token(actor: User, prefix: str) -> ApiToken:
    """The one token that begins so, of those that `actor` may read. Raises InvalidRequest, TokenNotFound."""
    if len(prefix) != queries.TOKEN_PREFIX_LENGTH or not prefix.isprintable():
        raise InvalidRequest(f"These are the first {queries.TOKEN_PREFIX_LENGTH} characters.", field="token_prefix")
    found = list(queries.visible_tokens(actor).filter(prefix=prefix).order_by("pk")[:2])
    if not found:
        raise TokenNotFound
    if len(found) > 1:
        raise InvalidRequest("Several tokens begin so.", field="token_prefix")
    return found[0]
