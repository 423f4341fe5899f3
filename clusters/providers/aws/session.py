"""Calls to AWS: with whose credentials, how long, how often, and in what words they fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from clusters.providers.aws.config import RATES, AwsConfig
from clusters.providers.aws.failures import translated
from clusters.providers.errors import AuthFailed, ProviderError, Throttled
from clusters.providers.throttle import Bucket

CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10
# More of them at once are answered too, by connections that are not kept.
_CONNECTIONS: Final = 50
# Shown in the customer's CloudTrail.
SESSION_NAME: Final = "controlplane"


class Session:
    """Calls from our own account ("") and from those of customers who gave us a role. For any thread.

    Our own credentials are those of boto's usual places. A role is assumed when it is first needed, and again before
    its credentials expire. Nothing is tried twice here: the caller knows what may be repeated.
    """

    def __init__(self, config: AwsConfig, *, rates: Mapping[str, float] = RATES) -> None:
        self._config = config
        self._rates = rates
        self._lock = threading.RLock()  # boto makes clients in one thread at a time
        self._sessions: dict[str, Any] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._boto = Config(
            region_name=config.region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
        )

    def call(self, account: str, service: str, action: str, /, **arguments: Any) -> Mapping[str, Any]:
        """Do `action` ("SubmitJob") of `service` once. Raises the errors of `clusters.providers.errors`."""
        try:
            return self._call(account, service, action, arguments)
        except AuthFailed as error:
            error.customer = account
            raise

    def _call(self, account: str, service: str, action: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        client, bucket = self._ways(account, service)
        if bucket:
            bucket.take()
        method = getattr(client, botocore.xform_name(action))
        try:
            answer: Mapping[str, Any] = method(**arguments)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            failure = translated(f"{service}:{action}", error)
            if bucket and isinstance(failure, Throttled):
                bucket.slow_down(failure.retry_after_seconds)
            # Not chained: a log would show AWS's words on what was signed.
            raise failure from None
        shape = client.meta.service_model.operation_model(action).output_shape
        if shape and shape.members and not shape.members.keys() & answer.keys():
            raise ProviderError(f"{service}:{action}: this is no answer of AWS; is a proxy in between?")
        return answer

    def pages(self, account: str, service: str, action: str, /, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        """As `call`, page by page, of an action that pages with `nextToken`, which some spell in their own way."""
        name = "NextToken" if service in ("ec2", "ssm") else "nextToken"
        token: dict[str, str] = {}
        while True:
            page = self.call(account, service, action, **arguments, **token)
            yield page
            if not page.get(name):
                return
            token = {name: page[name]}

    def _ways(self, account: str, service: str) -> tuple[Any, Bucket | None]:
        with self._lock:
            client = self._clients.get((account, service))
            if client is None:
                client = self._client(self._session(account), service)
                self._clients[account, service] = client
            number = self._config.customer_roles[account].account if account else ""
            if service not in self._rates:
                return client, None
            return client, self._buckets.setdefault((number, service), Bucket(self._rates[service]))

    def _client(self, session: Any, service: str, **credentials: str) -> Any:
        try:
            with self._lock:
                return session.create_client(
                    service, endpoint_url=self._config.endpoint_url, config=self._boto, **credentials
                )
        except BotoCoreError as error:
            raise translated(f"a client of {service}", error) from None

    def _session(self, account: str) -> Any:
        if account not in self._sessions:
            session = botocore.session.Session()
            session.register_component("data_loader", known_models())
            if account:
                if account not in self._config.customer_roles:
                    raise AuthFailed(f"there is no role any more for the account of {account!r}")
                session.register_component("credential_provider", CredentialResolver([_Role(self, account)]))
            self._sessions[account] = session
        return self._sessions[account]

    def assumed(self, account: str) -> DeferredRefreshableCredentials:
        """Credentials of a customer's role, which fetch themselves."""
        role, own = self._config.customer_roles[account], self._session("")
        source = own.get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            lambda service, **credentials: self._client(own, service, **_plain(credentials)),
            source,
            role.role_arn,
            extra_args={"ExternalId": role.external_id, "RoleSessionName": SESSION_NAME},
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


@cache
def known_models() -> Any:
    """What boto knows of AWS's services, read once: it takes tenths of a second and megabytes."""
    return botocore.session.Session().get_component("data_loader")


class _Role(CredentialProvider):  # type: ignore[misc]  # of a library without types
    """Has boto ask us for the credentials of a customer's role."""

    METHOD = "assume-role"

    def __init__(self, session: Session, account: str) -> None:
        super().__init__()
        self._session_of_ours, self._account = session, account

    def load(self) -> Credentials:
        return self._session_of_ours.assumed(self._account)


def _plain(credentials: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in credentials.items() if value}
