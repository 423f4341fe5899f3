"""Whether a Batch account is set up as it has to be: looked at, and nothing changed."""

from __future__ import annotations

from typing import Final

from azure.batch.models import BatchPool, BatchPoolState
from azure.core.credentials import AzureNamedKeyCredential

from clusters.providers.azure import names
from clusters.providers.azure.account import Account
from clusters.providers.azure.config import AzureConfig
from clusters.providers.azure.words import word
from clusters.providers.base import Probe
from clusters.providers.errors import AuthFailed, ProviderError, Throttled

_SCOPE: Final = "https://batch.core.windows.net/.default"
_ROLE: Final = "give the identity the role of deploy/azure/role.json at the account, or put right whose key it is"
_JOBS: Final = "Microsoft.Batch/batchAccounts/jobs"
_POOLS: Final = "Microsoft.Batch/batchAccounts/pools"


def probes(config: AzureConfig, account: Account) -> list[Probe]:
    """In the order in which they are put right: without a token, or an answer, nothing else can be told."""
    found = [_credentials(config, account)]
    if found[0].ok is False:
        return found
    found += _account(config, account)
    if found[1].ok is False:
        return found
    found += [_pool(config, account, name) for name in sorted(set(config.pools.values()))]
    return found + _writes(config, account)


def _credentials(config: AzureConfig, account: Account) -> Probe:
    credential = account.credential
    if isinstance(credential, AzureNamedKeyCredential):
        return Probe("credentials", True, f"the key of the account {config.account_name}")
    whose = f"the managed identity {config.client_id}" if config.client_id else "what the environment offers"
    try:
        account.call("ask for the account", lambda: credential.get_token(_SCOPE))
    except ProviderError as error:
        help_ = "set AZURE_CLIENT_ID to the machine's managed identity, or AZURE_BATCH_ACCOUNT and its key"
        return Probe("credentials", False, f"{error}; {help_}")
    return Probe("credentials", True, f"a token, by {whose}")


def _account(config: AzureConfig, account: Account) -> list[Probe]:
    """Whether it answers, and lets us list jobs."""
    there, list_ = f"account {config.endpoint}", f"{_JOBS}/read"
    client = account.client
    try:
        account.call(
            "list jobs",
            lambda: next(client.list_jobs(filter=f"startswith(id,'{names.PREFIX}')", max_results=1).by_page(), None),
        )
    except AuthFailed as error:
        return [Probe(there, True, "it answers"), _denied(list_, error)]
    except Throttled as error:
        return [Probe(there, True, "it answers"), Probe(list_, None, f"could not be told: {error}")]
    except ProviderError as error:
        return [Probe(there, False, f"{error}; look at AZURE_BATCH_ENDPOINT, and at what is in between")]
    return [Probe(there, True, "it answers"), Probe(list_, True, "permitted")]


def _pool(config: AzureConfig, account: Account, name: str) -> Probe:
    what = f"pool {name}"
    try:
        pool = account.call(f"read the pool {name}", lambda: account.client.get_pool(name), unless=("PoolNotFound",))
    except AuthFailed as error:
        return _denied(f"{_POOLS}/read", error, what)
    except Throttled as error:
        return Probe(what, None, f"could not be told: {error}")
    except ProviderError as error:
        return Probe(what, False, str(error))
    if pool is not None:
        return _looked_at(what, pool)
    if config.new_pool is not None:
        return Probe(what, True, "it is not there, and is made for the first job, as AZURE_BATCH_NEW_POOL says")
    return Probe(what, False, "it is not there: make it, change AZURE_BATCH_POOLS, or set AZURE_BATCH_NEW_POOL")


def _looked_at(what: str, pool: BatchPool) -> Probe:
    state = word(pool.state)
    faults = [f"{error.code}: {error.message}" for error in pool.resize_errors or ()]
    if (run := pool.auto_scale_run) and run.error:
        faults.append(f"autoscale {run.error.code}: {run.error.message}")
    if state != BatchPoolState.ACTIVE:
        faults.append("it takes no jobs in this state")
    told = f"{state}, {word(pool.allocation_state)}"
    return Probe(what, not faults, "; ".join([told, *faults]))


def _writes(config: AzureConfig, account: Account) -> list[Probe]:
    """The account's key permits all of them; whether a role does only shows when it is done."""
    wanted = [f"{_JOBS}/write", f"{_JOBS}/delete", *([f"{_POOLS}/write"] if config.new_pool else [])]
    if isinstance(account.credential, AzureNamedKeyCredential):
        return [Probe(what, True, "permitted by the account's key") for what in wanted]
    words = "cannot be told without doing it; deploy/azure/role.json has it"
    return [Probe(what, None, words) for what in wanted]


def _denied(permission: str, error: ProviderError, what: str = "") -> Probe:
    return Probe(what or permission, False, f"the permission {permission} is missing: {error}; {_ROLE}")
