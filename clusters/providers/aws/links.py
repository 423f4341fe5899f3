"""Addresses of pages in AWS's console. None of them is asked for here; who follows one needs an account there.

The domains by region are at https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html. What comes behind them AWS
documents nowhere: it is what its console and its own tools show.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

_DOMAINS: Final = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def _domain(region: str) -> str:
    name = next((name for begin, name in _DOMAINS.items() if region.startswith(begin)), "console.aws.amazon.com")
    return f"https://{region}.{name}" if region else f"https://{name}"


def console_page(region: str, service: str, page: str) -> str:
    """The address of `page` (what comes after the "#") of a service's console, in the partition of the region."""
    return f"{_domain(region)}/{service}/home?region={region}#{page}"


def queues_page(region: str) -> str:
    """The job queues of AWS Batch."""
    return console_page(region, "batch", "queues")


def log_page(region: str, group: str, stream: str) -> str:
    """A stream of CloudWatch Logs. The console reads names that are quoted twice, with $ for the %."""
    names = (quote(quote(name, safe=""), safe="").replace("%", "$") for name in (group, stream))
    group, stream = names
    return console_page(region, "cloudwatch", f"logsV2:log-groups/log-group/{group}/log-events/{stream}")


def object_page(region: str, bucket: str, key: str) -> str:
    """An object of S3. Without a region, by which its partition would be known, it is sought in that of AWS."""
    query = {"region": region, "prefix": key} if region else {"prefix": key}
    asked = urlencode(query, safe="/", quote_via=quote)
    return f"{_domain(region)}/s3/object/{quote(bucket, safe='')}?{asked}"
