"""What the `aws` provider makes of machines that EC2 shows, where moto does not show such."""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.aws import screen
from clusters.providers.base import End, Phase
from clusters.providers.errors import AuthFailed, NotFound, ProviderError, Refused
from tests.clusters.aws.script import Fault, Script
from tests.clusters.aws.test_spot import ANOTHER, DENIED, MACHINE, ROLE, cloud, handle, row, shows, work
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

TIMEOUT, ENDED = "controlplane:timeout-seconds", "controlplane:ended"
INTERRUPTED = {"Code": "Server.SpotInstanceTermination", "Message": "Spot instance termination"}


def unknown(*ids: str) -> Fault:
    return Fault(400, "InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(ids)}' do not exist")


def terminates(script: Script) -> None:
    script.say("CreateTags", {})
    script.say("TerminateInstances", {"TerminatingInstances": []})


# Observing


def test_machines_are_observed_many_at_once(script: Script) -> None:
    ids = [f"i-{number:017x}" for number in range(450)]
    shows(script, *[row(one) for one in ids])
    seen = cloud(script).observe([handle(one) for one in ids])
    assert {one.execution_id for one in seen} == {handle(one) for one in ids}
    assert [len(asked["InstanceIds"]) for asked in script.asked("DescribeInstances")] == [200, 200, 50]


def test_those_that_ec2_does_not_know_do_not_hide_the_others(script: Script) -> None:
    script.say("DescribeInstances", unknown(ANOTHER), {"Reservations": [{"Instances": [row()]}]})
    (seen,) = cloud(script).observe([handle(ANOTHER), handle()])
    assert (seen.execution_id, seen.phase) == (handle(), Phase.RUNNING)
    assert [asked["InstanceIds"] for asked in script.asked("DescribeInstances")] == [[ANOTHER, MACHINE], [MACHINE]]


def test_when_ec2_knows_none_there_is_nothing(script: Script) -> None:
    script.say("DescribeInstances", unknown(MACHINE, ANOTHER))
    assert cloud(script).observe([handle(), handle(ANOTHER)]) == []
    assert len(script.asked("DescribeInstances")) == 1


def test_when_it_names_another_that_is_no_answer(script: Script) -> None:
    script.say("DescribeInstances", unknown("i-00000000000000000"))
    with pytest.raises(ProviderError, match="i-00000000000000000") as told:
        cloud(script).observe([handle()])
    assert not isinstance(told.value, NotFound)


def test_a_machine_of_another_deployment_is_not_ours(script: Script) -> None:
    shows(script, row(tags={"controlplane:deployment": "another"}), row(ANOTHER, tags={"controlplane:execution": ""}))
    terminates(script)
    ours = cloud(script)
    handles = [handle(), handle(ANOTHER)]
    assert ours.observe(handles) == []
    ours.cancel(handles)
    assert not script.asked("TerminateInstances"), "whatever a handle says"


def test_an_interruption_is_announced_and_then_told(script: Script) -> None:
    shows(script, row())
    status = {"Code": "marked-for-termination", "Message": "Your Spot Instance is marked for termination."}
    script.say("DescribeSpotInstanceRequests", {"SpotInstanceRequests": [{"Status": status}]})
    ours = cloud(script)
    assert ours.explain(handle()).splitlines() == [
        "running, m5.large us-east-1a",
        "marked-for-termination: Your Spot Instance is marked for termination.",
    ]
    shows(script, row(state="terminated", StateReason=INTERRUPTED))
    (seen,) = ours.observe([handle()])
    assert (seen.end, seen.exit_code, seen.detail) == (End.INTERRUPTED, None, "Spot instance termination")
    assert "Spot instance termination" in ours.explain(handle())


def test_what_may_not_be_looked_at_does_not_hide_the_rest(script: Script) -> None:
    shows(script, row())
    script.say("DescribeSpotInstanceRequests", DENIED)
    told = cloud(script).explain(handle()).splitlines()
    assert told[0] == "running, m5.large us-east-1a"
    assert told[1].startswith("ec2:DescribeSpotInstanceRequests: UnauthorizedOperation")


def test_of_the_unknown_there_is_nothing_to_explain(script: Script) -> None:
    script.say("DescribeInstances", unknown(MACHINE))
    assert cloud(script).explain(handle()) == ""


def test_the_page_of_a_machine(script: Script) -> None:
    assert cloud(script).link(handle()) == (
        f"https://us-east-1.console.aws.amazon.com/ec2/home?region=us-east-1#InstanceDetails:instanceId={MACHINE}"
    )


# Ending


def test_what_runs_too_long_is_terminated(script: Script) -> None:
    late, early = row(tags={TIMEOUT: "299"}), row(ANOTHER, tags={TIMEOUT: "1000"})
    shows(script, late, early)
    terminates(script)
    seen = {one.execution_id: one for one in cloud(script).observe([handle(), handle(ANOTHER)])}
    assert (seen[handle()].phase, seen[handle()].end) == (Phase.ENDED, End.TIMED_OUT)
    assert seen[handle(ANOTHER)].phase is Phase.RUNNING
    assert script.asked("CreateTags") == [{"Resources": [MACHINE], "Tags": [{"Key": ENDED, "Value": "timed-out"}]}]
    assert script.asked("TerminateInstances") == [{"InstanceIds": [MACHINE]}]
    assert [call.action for call in script.calls][1:] == ["CreateTags", "TerminateInstances"], "the word comes first"


def test_what_should_end_and_did_not_is_terminated_again(script: Script) -> None:
    """A process died between its word and the deed."""
    shows(script, row(tags={TIMEOUT: "299", ENDED: "canceled"}))
    terminates(script)
    (seen,) = cloud(script).observe([handle()])
    assert (seen.phase, seen.end) == (Phase.ENDED, End.CANCELED)
    assert not script.asked("CreateTags"), "the first word stands"
    assert script.asked("TerminateInstances")


@pytest.mark.parametrize("action", ["CreateTags", "TerminateInstances"])
def test_what_cannot_be_terminated_still_runs(script: Script, caplog: pytest.LogCaptureFixture, action: str) -> None:
    shows(script, row(tags={TIMEOUT: "299"}), row(ANOTHER))
    terminates(script)
    script.say(action, DENIED)
    with caplog.at_level(logging.WARNING):
        seen = cloud(script).observe([handle(), handle(ANOTHER)])
    assert [one.phase for one in seen] == [Phase.RUNNING, Phase.RUNNING]
    assert f"ec2:{action}: UnauthorizedOperation" in caplog.text


def test_cancel_says_so_and_terminates_what_lives(script: Script) -> None:
    ended = f"i-{1:017x}"
    shows(script, row(), row(ANOTHER, "pending"), row(ended, "terminated"))
    terminates(script)
    cloud(script).cancel([handle(), handle(ANOTHER), handle(ended)])
    tags = [{"Key": ENDED, "Value": "canceled"}]
    assert script.asked("CreateTags") == [{"Resources": [MACHINE, ANOTHER], "Tags": tags}]
    assert script.asked("TerminateInstances") == [{"InstanceIds": [MACHINE, ANOTHER]}]


def test_cancel_leaves_the_unknown_alone(script: Script) -> None:
    script.say("DescribeInstances", unknown(MACHINE))
    cloud(script).cancel([handle(), "ec2::nonsense", "nonsense"])
    assert [call.action for call in script.calls] == ["DescribeInstances"]


@pytest.mark.parametrize("action", ["DescribeInstances", "CreateTags", "TerminateInstances"])
def test_a_missing_permission_to_end_is_told_by_its_name(script: Script, action: str) -> None:
    shows(script, row())
    terminates(script)
    script.say(action, DENIED)
    with pytest.raises(AuthFailed, match=f"ec2:{action}: UnauthorizedOperation"):
        cloud(script).cancel([handle()])


# Looking for machines


def test_what_was_started_is_found_by_its_tag_the_oldest_first(script: Script) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    older = row(ANOTHER, "terminated", LaunchTime=now - timedelta(hours=1))
    first, second = {"Instances": [row(LaunchTime=now)]}, {"Instances": [older]}
    script.say("DescribeInstances", {"Reservations": [first], "NextToken": "t"}, {"Reservations": [second]})
    name = new_id()
    assert cloud(script).find(name, [work()]) == [[handle(ANOTHER)], [handle()]]
    asked, following = script.asked("DescribeInstances")
    assert {row["Name"]: row["Values"] for row in asked["Filters"]} == {
        "tag:controlplane:submission": [name],
        "tag:controlplane:deployment": ["controlplane"],
    }, "in all states"
    assert following["NextToken"] == "t"


def test_machines_that_stand_there_are_told_with_their_executions(script: Script) -> None:
    execution = new_id()
    shows(script, row(tags={"controlplane:execution": execution}), row(ANOTHER, tags={"controlplane:execution": "x"}))
    assert cloud(script).machines() == {handle(): execution}
    (asked,) = script.asked("DescribeInstances")
    assert {row["Name"]: row["Values"] for row in asked["Filters"]} == {
        "tag:controlplane:deployment": ["controlplane"],
        "instance-state-name": ["pending", "running", "stopping", "stopped"],
    }


def test_a_customer_who_lets_us_in_no_more_does_not_hide_our_machines(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    shows(script, row())
    script.say("AssumeRole", Fault(403, "AccessDenied"))
    ours = cloud(script, customer_roles={"acme": ROLE})
    with caplog.at_level(logging.WARNING):
        assert list(ours.machines()) == [handle()]
    assert "machines of acme cannot be looked for" in caplog.text
    assert ours.machine(MACHINE) == handle()
    script.say("DescribeInstances", unknown(MACHINE))
    assert ours.machine(MACHINE) is None


def test_our_own_lost_permission_is_told(script: Script) -> None:
    script.say("DescribeInstances", DENIED)
    for ask in (lambda: cloud(script).machines(), lambda: cloud(script).machine(MACHINE)):
        with pytest.raises(AuthFailed, match="ec2:DescribeInstances"):
            ask()


@pytest.mark.parametrize(
    ("wishes", "is_ours"),
    [
        ({}, True),
        ({"state": "terminated"}, True),
        ({"tags": {"controlplane:deployment": "another"}}, False),
        ({"tags": {"controlplane:execution": ""}}, False),
        ({"InstanceLifecycle": "scheduled", "SpotInstanceRequestId": ""}, False),
        (
            {
                "InstanceLifecycle": "scheduled",
                "SpotInstanceRequestId": "",
                "tags": {"controlplane:purchase": "on-demand"},
            },
            True,
        ),
    ],
)
def test_a_machine_is_ours_by_tags_and_by_how_it_was_bought(
    script: Script, wishes: dict[str, Any], is_ours: bool
) -> None:
    shows(script, row(**wishes))
    assert cloud(script).machine(MACHINE) == (handle() if is_ours else None)


@pytest.mark.parametrize(
    "text", ["", "i-", "i-1", "i-0123456789ABCDEF0", f"{MACHINE} ", f"a:{MACHINE}", "ami-1", "i" * 300]
)
def test_what_is_no_machine_s_id_is_asked_of_nobody(script: Script, text: str) -> None:
    assert cloud(script).machine(text) is None
    assert not script.calls


# Output


def console(text: bytes) -> dict[str, Any]:
    return {"InstanceId": MACHINE, "Output": base64.b64encode(text).decode()}


def test_the_console_is_read_by_its_bytes(script: Script) -> None:
    shows(script, row())
    script.say("GetConsoleOutput", {"InstanceId": MACHINE}, console("one\r\ntwo é".encode()))
    ours = cloud(script)
    assert ours.logs(handle(), "stdout").text == "", "nothing yet"
    page = ours.logs(handle(), "stdout", 5)
    assert (page.text, page.next_after, page.ended) == ("two é", 11, False)
    assert ours.logs(handle(), "stdout", 5, limit=5).text == "two ", "no half characters"
    assert ours.logs(handle(), "stdout", 11).text == ""
    assert ours.logs(handle(), "stderr").ended
    assert all(asked == {"InstanceId": MACHINE, "Latest": True} for asked in script.asked("GetConsoleOutput"))
    shows(script, row(state="terminated"))
    assert ours.logs(handle(), "stdout", 11).ended
    assert not ours.logs(handle(), "stdout", 0, limit=8).ended


def test_an_older_machine_tells_what_it_wrote_when_it_booted(script: Script) -> None:
    shows(script, row())
    script.say("GetConsoleOutput", Fault(400, "UnsupportedOperation"), console(b"booted\n"))
    assert cloud(script).logs(handle(), "stdout").text == "booted\n"
    assert script.asked("GetConsoleOutput")[1] == {"InstanceId": MACHINE}


def test_what_has_scrolled_off_is_told(script: Script) -> None:
    shows(script, row(state="terminated"))
    script.say("GetConsoleOutput", console(b"x" * (screen.KEPT_BYTES - 1) + b"\n"))
    page = cloud(script).logs(handle(), "stdout")
    assert page.ended
    assert page.text.startswith(screen.SCROLLED + "xxx")
    assert len(page.text) == screen.KEPT_BYTES + len(screen.SCROLLED)


def test_whatever_bytes_a_console_has_there_is_text(script: Script) -> None:
    shows(script, row(state="terminated"))
    script.say("GetConsoleOutput", console(b"\x1b[0m a \xff\x00 b"))
    page = cloud(script).logs(handle(), "stdout")
    assert (page.text, page.ended) == ("\x1b[0m a \ufffd b", True)


def test_the_console_of_the_unknown_is_not_found(script: Script) -> None:
    script.say("DescribeInstances", unknown(MACHINE))
    with pytest.raises(NotFound):
        cloud(script).logs(handle(), "stdout")


@pytest.mark.parametrize(("fault", "kind"), [(DENIED, AuthFailed), (Fault(400, "InvalidParameterValue"), Refused)])
def test_a_console_that_cannot_be_read_is_told(script: Script, fault: Fault, kind: type[ProviderError]) -> None:
    shows(script, row())
    script.say("GetConsoleOutput", fault)
    with pytest.raises(kind, match="ec2:GetConsoleOutput"):
        cloud(script).logs(handle(), "stdout")
