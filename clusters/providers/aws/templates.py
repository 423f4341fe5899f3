"""Launch templates: what a fleet wants to know beforehand. One is made for each image, and used again."""

from __future__ import annotations

from typing import Any, Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.instances import DEPLOYMENT
from clusters.providers.aws.remembered import Remembered
from clusters.providers.aws.session import Session
from clusters.providers.base import Work
from clusters.providers.errors import Refused
from clusters.providers.fingerprints import fingerprint

_DAY_SECONDS: Final = 24 * 3600.0
_EXISTS: Final = "InvalidLaunchTemplateName.AlreadyExists"


class Templates:
    """Makes the template for a work, and remembers that it is there.

    It holds the image, the network, the profile and the key, and that the machine ends when it is shut down; all else,
    the boot data above all, comes with each fleet. Its name is the prefix and a hash of what it holds, so that none is
    ever changed.
    """

    def __init__(self, config: AwsConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._made: Remembered[str] = Remembered(_DAY_SECONDS)

    def name(self, account: str, work: Work, security_groups: list[str]) -> str:
        """The template for `work` in `account`, made if there is none yet."""
        content = self._content(work, security_groups)
        name = f"{self._config.prefix}-{fingerprint(content)}"
        return self._made.get((account, name), lambda: self._make(account, name, content))

    def forget(self, account: str, name: str) -> None:
        """Somebody has deleted it: make it again the next time."""
        self._made.forget((account, name))

    def _make(self, account: str, name: str, content: dict[str, Any]) -> str:
        tags = [{"Key": DEPLOYMENT, "Value": self._config.prefix}]
        try:
            self._session.call(
                account,
                "ec2",
                "CreateLaunchTemplate",
                LaunchTemplateName=name,
                LaunchTemplateData=content,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
            )
        except Refused as error:
            if _EXISTS not in str(error):
                raise
        return name

    def _content(self, work: Work, security_groups: list[str]) -> dict[str, Any]:
        content: dict[str, Any] = {
            "ImageId": work.machine_image,
            "InstanceInitiatedShutdownBehavior": "terminate",
            # Two hops: a container on the machine asks through one more.
            "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        }
        if security_groups:
            content["SecurityGroupIds"] = security_groups
        if self._config.instance_profile:
            content["IamInstanceProfile"] = {"Name": self._config.instance_profile}
        if self._config.key_name:
            content["KeyName"] = self._config.key_name
        return content
