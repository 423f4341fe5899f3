"""Where in a region machines are put: subnets and security groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.instances import DEPLOYMENT
from clusters.providers.aws.remembered import Remembered
from clusters.providers.aws.session import Session

_LOOK_SECONDS: Final = 600.0


class Networks:
    """Ours are those of the configuration; in a customer's account, those with our tag."""

    def __init__(self, config: AwsConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._subnets: Remembered[list[str]] = Remembered(_LOOK_SECONDS)
        self._groups: Remembered[list[str]] = Remembered(_LOOK_SECONDS)

    def subnets(self, account: str) -> list[str]:
        """One for each zone, as a fleet takes no more: that with most free addresses. None: AWS's default network."""
        return self._subnets.get(account, lambda: self._look_for_subnets(account))

    def security_groups(self, account: str) -> list[str]:
        """None: the network's default group."""
        if not account:
            return list(self._config.security_groups)
        return self._groups.get(account, lambda: self._look_for_groups(account))

    def _look_for_subnets(self, account: str) -> list[str]:
        if account:
            asked: dict[str, Any] = {"Filters": self._tagged()}
        elif self._config.subnets:
            asked = {"SubnetIds": list(self._config.subnets)}
        else:
            return []
        pages = self._session.pages(account, "ec2", "DescribeSubnets", **asked)
        return _one_for_each_zone(row for page in pages for row in page.get("Subnets", []))

    def _look_for_groups(self, account: str) -> list[str]:
        pages = self._session.pages(account, "ec2", "DescribeSecurityGroups", Filters=self._tagged())
        return sorted(str(row["GroupId"]) for page in pages for row in page.get("SecurityGroups", []))

    def _tagged(self) -> Sequence[Mapping[str, Any]]:
        return [{"Name": f"tag:{DEPLOYMENT}", "Values": [self._config.prefix]}]


def _one_for_each_zone(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    best: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (-int(row.get("AvailableIpAddressCount", 0)), str(row["SubnetId"]))):
        best.setdefault(str(row.get("AvailabilityZone")), row)
    return sorted(str(row["SubnetId"]) for row in best.values())
