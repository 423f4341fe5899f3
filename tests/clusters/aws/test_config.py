"""What a deployment says of its AWS."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig, ContainerConfig, CustomerRole
from clusters.providers.aws.handles import JOBS, Handle, by_account

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ROLE = CustomerRole("arn:aws-us-gov:iam::210987654321:role/ours/run", "agreed")


def config(**wishes: Any) -> AwsConfig:
    return AwsConfig(**{"region": "us-east-1", "queues": {"HIGH": "high", "LOW": "low"}, **wishes})


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"platform": "EKS"}, "no such platform: EKS"),
        ({"platform": "FARGATE"}, "FARGATE needs an execution role"),
        ({"queues": {"HIGH": "one", "LOW": ""}}, "no queue is named for LOW"),
        ({"containers": ContainerConfig("containers", "a-role")}, "need subnets"),
        ({"containers": ContainerConfig("c", "r"), "subnets": ["s"], "prefix": "AWS-1"}, "keeps that for itself"),
        ({"queues": {}}, "no queue is named for HIGH and LOW"),
        ({"customer_roles": {"x" * 201: ROLE}}, "too long a name"),
        ({"customer_roles": {"é" * 40: ROLE}}, "too long a name"),
    ],
)
def test_what_cannot_work_is_told_at_once(wishes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        config(**wishes)


@pytest.mark.parametrize("arn", ["", "controlplane", "arn:aws:iam::1:role/x", "arn:aws:iam::210987654321:user/x"])
def test_a_role_is_an_address(arn: str) -> None:
    with pytest.raises(ValueError, match="not the address of a role"):
        CustomerRole(arn, "agreed")


def test_an_external_id_is_not_shown() -> None:
    assert "agreed" not in repr(config(customer_roles={"acme": ROLE}))


def test_a_role_of_ours_has_its_like_in_the_customer_s_account() -> None:
    ours = config(customer_roles={"acme": ROLE})
    arn = "arn:aws:iam::123456789012:role/jobs"
    assert ours.role_of(arn, "") == arn
    assert ours.role_of(arn, ours.account_of("acme")) == "arn:aws:iam::210987654321:role/jobs"
    assert ours.role_of(arn, ours.account_of("another")) == arn
    assert ours.role_of("", "acme") == ""


@pytest.mark.parametrize("account", ["", "acme", "a:b/c %", "é" * 33])
@pytest.mark.parametrize("child", ["", ":0", ":9999"])
def test_a_handle_is_read_as_it_was_written(account: str, child: str) -> None:
    handle = Handle("batch", account, f"01234567-89ab-cdef-0123-456789abcdef{child}")
    assert Handle.parse(str(handle)) == handle
    assert len(str(handle)) <= 255


def test_the_handle_of_a_container_is_its_name() -> None:
    handle = Handle("ecs", "acme", "01234567-89ab-cdef-0123-456789abcdef")
    assert Handle.parse(str(handle)) == handle
    assert by_account([str(handle), "ecs::1", "nonsense"], *JOBS) == []
    assert by_account([str(handle), "ecs::1", "nonsense"], "ecs") == [[handle]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "ecs::01234567-89ab-cdef-0123-456789abcdef:1",
        "batch::",
        "batch::1",
        "ec2::01234567-89ab-cdef-0123-456789abcdef",
        "batch:a:b:c",
        "::",
    ],
)
def test_what_nobody_gave_out_is_no_handle(text: str) -> None:
    assert Handle.parse(text) is None
