"""Secrets of containers, as encrypted parameters of Systems Manager, which only a container's start reads."""

from __future__ import annotations

import itertools
import re
from typing import Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.session import Session
from clusters.providers.errors import Refused
from clusters.providers.hosting import Service

_LONGEST_BYTES: Final = 4096
_DELETED_AT_ONCE: Final = 10
_EXISTS: Final = "ParameterAlreadyExists"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")


class Secrets:
    """Those of one container lie below a path of its own, and go with it.

    Below that they lie by revision, so that none is ever changed: while a new configuration comes, the old one can
    still be started. They are encrypted with the account's own key for parameters, which costs nothing.
    """

    def __init__(self, config: AwsConfig, session: Session) -> None:
        self._config = config
        self._session = session

    def names(self, service: Service) -> dict[str, str]:
        """The parameter that each variable is read from. Raises Refused for what AWS does not take; shows no value."""
        for name, value in service.secrets.items():
            if not _NAME.fullmatch(name):
                raise Refused(f"AWS keeps no secret of the name {name!r}: letters, digits and _.- only")
            if not 1 <= len(value.encode()) <= _LONGEST_BYTES:
                raise Refused(f"AWS keeps secrets of 1 to {_LONGEST_BYTES} bytes, and {name} is none")
        path = f"{self._path(service.name)}/{service.revision}"
        return {name: f"{path}/{name}" for name in sorted(service.secrets)}

    def keep(self, account: str, service: Service) -> None:
        """Put them there, if they are not yet."""
        for name, parameter in self.names(service).items():
            asked = {"Name": parameter, "Value": service.secrets[name], "Type": "SecureString"}
            try:
                self._session.call(account, "ssm", "PutParameter", **asked)
            except Refused as error:
                if _EXISTS not in str(error):
                    raise

    def drop(self, account: str, name: str) -> None:
        """Remove all of the container `name`."""
        below = {"Key": "Path", "Option": "Recursive", "Values": [self._path(name)]}
        pages = self._session.pages(account, "ssm", "DescribeParameters", ParameterFilters=[below])
        found = iter([str(row["Name"]) for page in pages for row in page.get("Parameters", [])])
        while some := list(itertools.islice(found, _DELETED_AT_ONCE)):
            self._session.call(account, "ssm", "DeleteParameters", Names=some)

    def _path(self, name: str) -> str:
        return f"/{self._config.prefix}/{name}"
