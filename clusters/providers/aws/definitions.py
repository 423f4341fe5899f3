"""Job definitions: what of a job AWS Batch wants to know beforehand. One is made for each image, and used again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.session import Session
from clusters.providers.aws.sizes import requirements
from clusters.providers.base import Work
from clusters.providers.fingerprints import fingerprint


class Definitions:
    """Finds or makes the definition for a work, and remembers it as long as this process lives.

    It holds the image, the platform, the roles and the size of /dev/shm; all else comes with each job. Its name is
    the prefix and a hash of all that it holds, so that none is ever changed. Two that begin at once may make the same:
    that is then its second revision, and does no harm.
    """

    def __init__(self, config: AwsConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], str] = {}

    def arn(self, account: str, work: Work) -> str:
        """The definition for `work` in `account`, made if there is none yet."""
        content = self._content(account, work)
        name = self._name(content)
        with self._lock:
            known = self._known.get((account, name))
        if known is None:
            known = self._find(account, name) or self._make(account, name, content)
            with self._lock:
                self._known[account, name] = known
        return known

    def forget(self, account: str, work: Work) -> None:
        """Somebody has deregistered it: look again the next time."""
        with self._lock:
            self._known.pop((account, self._name(self._content(account, work))), None)

    def _name(self, content: Mapping[str, Any]) -> str:
        return f"{self._config.prefix}-{fingerprint(content)}"

    def _find(self, account: str, name: str) -> str:
        pages = self._session.pages(account, "batch", "DescribeJobDefinitions", jobDefinitionName=name, status="ACTIVE")
        rows = [row for page in pages for row in page.get("jobDefinitions", [])]
        newest = max(rows, key=lambda row: int(row["revision"]), default=None)
        return str(newest["jobDefinitionArn"]) if newest else ""

    def _make(self, account: str, name: str, content: Mapping[str, Any]) -> str:
        tags = {"controlplane": self._config.prefix}
        made = self._session.call(
            account, "batch", "RegisterJobDefinition", jobDefinitionName=name, tags=tags, **content
        )
        return str(made["jobDefinitionArn"])

    def _content(self, account: str, work: Work) -> dict[str, Any]:
        config = self._config
        container: dict[str, Any] = {
            "image": work.image,
            # AWS wants sizes here; each job says its own.
            "resourceRequirements": requirements(Work("", (), vcpus_milli=250, memory_mib=512), config.platform),
        }
        if config.job_role_arn:
            container["jobRoleArn"] = config.role_of(config.job_role_arn, account)
        if config.execution_role_arn:
            container["executionRoleArn"] = config.role_of(config.execution_role_arn, account)
        if config.platform == "FARGATE":
            container["networkConfiguration"] = {"assignPublicIp": "ENABLED" if config.public_ip else "DISABLED"}
        if work.shm_mib is not None:
            container["linuxParameters"] = {"sharedMemorySize": work.shm_mib}
        return {
            "type": "container",
            "platformCapabilities": [config.platform],
            "containerProperties": container,
            # Whoever asked for the job decides whether it is tried again.
            "retryStrategy": {"attempts": 1},
        }
