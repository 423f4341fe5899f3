"""A Batch account: its client, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

from clusters.providers.azure.config import AzureConfig
from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, ProviderError, Refused, Throttled
from clusters.providers.throttle import Bucket

if TYPE_CHECKING:
    from azure.core.paging import ItemPaged

API_VERSION: Final = "2025-06-01"
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
HELD_BACK_SECONDS: Final = 2.0  # how long a call waits for its turn, so that it still ends within CALL_SECONDS
RETRY_AFTER_SECONDS: Final = 5.0  # where Azure does not say

T = TypeVar("T")

# https://learn.microsoft.com/rest/api/batchservice/batch-status-and-error-codes; what is not named goes by its status.
_BY_CODE: Mapping[str, type[ProviderError]] = {
    "AccountIsDisabled": AuthFailed,
    "ActiveJobAndScheduleQuotaReached": NoCapacity,
    "AuthenticationFailed": AuthFailed,
    "IOError": ProviderError,  # a 403 that is not about us
    "InsufficientAccountPermissions": AuthFailed,
    "JobBeingDeleted": NoCapacity,
    "JobBeingTerminated": NoCapacity,
    "JobCompleted": NoCapacity,
    "JobDisabled": NoCapacity,
    "JobNotActive": NoCapacity,
    "PoolBeingDeleted": NoCapacity,
    "PoolQuotaReached": NoCapacity,
    "ServerBusy": Throttled,
    "TaskFilesCleanedup": NotFound,
    "TaskFilesUnavailable": NotFound,
    "TooManyRequests": Throttled,
}
_BY_STATUS: Mapping[int, type[ProviderError]] = {
    400: Refused,
    401: AuthFailed,
    403: AuthFailed,
    404: NotFound,
    413: Refused,
    416: NotFound,
    429: Throttled,
}


class _ReadErrors(SansIOHTTPPolicy[Any, Any]):
    """Reads what an error says where content was asked for as a stream: the SDK's own policy does not, and warns."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        if response.http_response.status_code >= 400:
            response.http_response.read()


class Account:
    """Every call to the account goes through `call` or `rows`. Threads may share it."""

    def __init__(
        self, config: AzureConfig, credential: TokenCredential | None = None, bucket: Bucket | None = None
    ) -> None:
        self.bucket = bucket or Bucket(
            config.calls_per_second, burst=config.calls_at_once, wait_seconds=HELD_BACK_SECONDS
        )
        self.credential = credential or _credential(config)
        self.client = BatchClient(
            config.endpoint,
            self.credential,
            api_version=API_VERSION,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            connection_verify=config.connection_verify,
            retry_total=0,
            per_retry_policies=[_ReadErrors()],
        )

    def call(self, operation: str, do: Callable[[], T], unless: Collection[str] = ()) -> T | None:
        """What `do` answers; None when Azure answers with one of the error codes `unless`.

        Its other errors are told in the words of `clusters.providers.errors`, with the name of the operation.
        """
        self.bucket.take()
        try:
            return do()
        except AzureError as error:
            if code_of(error) in unless:
                return None
            told = translated(operation, error)
            if isinstance(told, Throttled):
                self.bucket.slow_down(told.retry_after_seconds)
            raise told from error

    def rows(self, operation: str, start: Callable[[], ItemPaged[T]], unless: Collection[str] = ()) -> list[T]:
        """All rows of a list, page by page: each is a call. Those so far when Azure answers with one of `unless`."""
        pages: Any = start().by_page()
        rows: list[T] = []
        while True:
            page: Iterable[T] | None = self.call(operation, lambda: next(pages), unless)
            if page is None:
                return rows
            rows += page
            if not pages.continuation_token:  # that of the page that follows
                return rows


def _credential(config: AzureConfig) -> AzureNamedKeyCredential | TokenCredential:
    if config.account_key:
        return AzureNamedKeyCredential(config.account_name, config.account_key)
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential  # takes a while to load

    return ManagedIdentityCredential(client_id=config.client_id) if config.client_id else DefaultAzureCredential()


def code_of(error: AzureError) -> str:
    """Azure's code for the error; empty when it gave none."""
    said = error.error if isinstance(error, HttpResponseError) else None
    return str(getattr(said, "code", None) or "")


def kind_of(code: str, status: int = 0, retry_after: bool = False) -> type[ProviderError]:
    """The error of ours for a code and an HTTP status. A plain ProviderError: not known whether it was done."""
    if kind := _BY_CODE.get(code):
        return kind
    if code.endswith("QuotaReached"):
        return NoCapacity
    if status == 503 and retry_after:
        return Throttled
    return _BY_STATUS.get(status, ProviderError)


def translated(operation: str, error: AzureError) -> ProviderError:
    """The error of ours for one of the SDK's. Azure's words are kept; they hold no secret, nor does an address."""
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) and not code_of(error):  # not of Batch: of who gives tokens
        return AuthFailed(f"Azure gives no token to {operation}: {error.message}")
    if response is None:
        return ProviderError(f"Azure Batch does not answer ({operation}): {error.message}")
    wait = _retry_after(response.headers)
    kind = kind_of(code_of(error), response.status_code, wait is not None)
    text = f"Azure Batch, {operation}: {_words(error, response.status_code)}"
    if issubclass(kind, Throttled):
        return kind(text, RETRY_AFTER_SECONDS if wait is None else wait)
    return kind(text)


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    try:
        return float(headers["Retry-After"])
    except (KeyError, ValueError):  # absent, or a date
        return None


def _words(error: AzureError, status: int) -> str:
    """Code, message and the values of an error, as Azure put them."""
    said = error.error if isinstance(error, HttpResponseError) else None
    if said is None:
        return f"HTTP {status}"
    values = [f"{one.code}: {one.message}" for one in said.details]
    return " ".join(part for part in (f"{code_of(error)}:", said.message, "; ".join(values)) if part)
