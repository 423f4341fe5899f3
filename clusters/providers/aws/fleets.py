"""A work as one CreateFleet, and what comes of it. Nothing here calls AWS."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.failures import RETRY_AFTER_SECONDS, told
from clusters.providers.aws.instances import (
    CUSTOMER,
    DEPLOYMENT,
    EXECUTION,
    PURCHASE,
    SPOT,
    SUBMISSION,
    TIMEOUT,
)
from clusters.providers.base import Work
from clusters.providers.errors import AuthFailed, NoCapacity, ProviderError, Refused, Throttled

_ACTION: Final = "ec2:CreateFleet"
_LONGEST_TAG: Final = 256
_NOT_IN_TAGS = re.compile(r"[^\w +\-=.:/@]")


def check(work: Work) -> None:
    """Raise Refused for what a machine of EC2 cannot be given."""
    wrong = {
        "an image of containers": bool(work.image),
        "a command": bool(work.command),
        f"the queue {work.queue}": bool(work.queue),
        "folders of this machine": bool(work.mounts),
        "volumes of a container engine": bool(work.volumes),
        "a size of /dev/shm": work.shm_mib is not None,
        "no network at all": not work.network,
    }
    if found := [what for what, is_wrong in wrong.items() if is_wrong]:
        raise Refused(f"EC2 takes no machine job with {', nor with '.join(found)}")


def fleet(
    config: AwsConfig,
    name: str,
    work: Work,
    *,
    purchase: str,
    token: str,
    template: str,
    data: bytes,
    types: Sequence[str],
    subnets: Sequence[str],
) -> dict[str, Any]:
    """The arguments of CreateFleet for one machine, of any of `types` in any of `subnets`.

    It is of type instant: AWS answers with the machine or with why there is none, and never tries again.
    """
    tags = [{"Key": key, "Value": value} for key, value in _tags(config, name, work, purchase).items()]
    places: list[dict[str, str]] = [{"SubnetId": subnet} for subnet in subnets] or [{}]
    overrides = [{"InstanceType": one, **place} for one in types for place in places]
    if purchase == SPOT:
        options = {"SpotOptions": {"AllocationStrategy": "price-capacity-optimized"}}
    else:
        options = {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}}
    specification = {
        "LaunchTemplateName": template,
        "Version": "$Default",
        "LaunchTemplateSpecificationUserData": base64.b64encode(data).decode(),
    }
    return {
        "Type": "instant",
        "ClientToken": token,
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": purchase},
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": specification, "Overrides": overrides}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("fleet", "instance")],
        **options,
    }


def machine_of(answer: Mapping[str, Any]) -> str:
    """The machine that a fleet has started. Raises what its errors say when there is none, all in one."""
    for row in answer.get("Instances") or []:
        for instance_id in row.get("InstanceIds") or []:
            return str(instance_id)
    raise _failure(answer.get("Errors") or [])


def _failure(rows: Sequence[Mapping[str, Any]]) -> ProviderError:
    """One error for a fleet's many, each kind of which is said once."""
    messages: dict[str, str] = {}
    for row in rows:
        messages.setdefault(str(row.get("ErrorCode", "")), str(row.get("ErrorMessage", "")))
    errors = [told(_ACTION, code, text) for code, text in messages.items()]
    whole = "; ".join(str(error) for error in errors) or f"{_ACTION}: there is no machine, and AWS does not say why"
    kinds = {type(error) for error in errors}
    if Throttled in kinds:
        return Throttled(whole, RETRY_AFTER_SECONDS)
    # Trouble of AWS's own passes, too; and nothing has been started.
    if not kinds or kinds & {NoCapacity, ProviderError}:
        return NoCapacity(whole)
    return AuthFailed(whole) if AuthFailed in kinds else Refused(whole)


def tag_value(text: str) -> str:
    """`text` as AWS takes it for the value of a tag."""
    return _NOT_IN_TAGS.sub("_", text)[:_LONGEST_TAG]


def _tags(config: AwsConfig, name: str, work: Work, purchase: str) -> dict[str, str]:
    tags = {
        DEPLOYMENT: config.prefix,
        SUBMISSION: name,
        EXECUTION: work.execution_id,
        PURCHASE: purchase,
        CUSTOMER: tag_value(work.customer),
    }
    if work.timeout_seconds is not None:
        tags[TIMEOUT] = str(work.timeout_seconds)
    return tags
