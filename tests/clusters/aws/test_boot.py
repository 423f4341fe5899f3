"""What a machine boots with, read as cloud-init reads it."""

from __future__ import annotations

import email
import subprocess
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from clusters.providers.aws import boot
from clusters.providers.aws.boot import MAX_BYTES, user_data
from clusters.providers.base import Work
from clusters.providers.errors import Refused
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

SCRIPT = "#!/bin/sh\n. /etc/controlplane/job.env\necho hello\n"


def work(**wishes: Any) -> Work:
    return Work(new_id(), (), **{"machine_image": "ami-1", "user_data": SCRIPT, **wishes})


def parts(one: Work) -> list[Message]:
    whole = email.message_from_bytes(user_data(one))
    assert whole.get_content_type() == "multipart/mixed"
    found = whole.get_payload()
    assert isinstance(found, list)
    return [part for part in found if isinstance(part, Message)]


def text_of(part: Message) -> str:
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw.decode()


def test_the_environment_is_written_for_root_only_and_a_shell_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc" / "job.env"
    monkeypatch.setattr(boot, "FILE", str(file))
    env = {"A": "1", "EMPTY": "", "WORDS": "two words; $HOME `id` 'é'", "LINES": "one\nEND\n\ntwo\\", "_X9": '"'}
    hook = text_of(parts(work(env=env))[0])
    for _ in range(2):  # a boot hook runs at every boot
        subprocess.run(["sh"], input=hook.encode(), check=True)
    assert file.stat().st_mode & 0o777 == 0o600
    shown = "".join(f'printf "%s\\0" "${name}"; ' for name in env)
    told = subprocess.run(["sh", "-c", f". {file}; {shown}"], capture_output=True, check=True).stdout.decode()
    assert told.split("\0")[:-1] == list(env.values())


def test_our_part_runs_before_the_other() -> None:
    first, second = parts(work(env={"A": "1"}))
    assert (first.get_content_type(), second.get_content_type()) == ("text/cloud-boothook", "text/x-shellscript")
    assert text_of(first).startswith("#cloud-boothook\n#!/bin/sh\n")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#!/usr/bin/env python3\nprint(1)\n", "x-shellscript"),
        ("#cloud-config\nruncmd: [reboot]\n", "cloud-config"),
        ("#cloud-config-archive\n- one\n", "cloud-config-archive"),
        ("#cloud-boothook\n#!/bin/sh\n", "cloud-boothook"),
        ("#include\nhttps://example.com/\n", "x-include-url"),
        ("#include-once\nhttps://example.com/\n", "x-include-once-url"),
        ("#part-handler\n", "part-handler"),
        ("## template: jinja\n#cloud-config\n", "jinja2"),
    ],
)
def test_a_text_s_kind_is_told_by_how_it_begins(text: str, kind: str) -> None:
    part = parts(work(user_data=text))[1]
    assert part.get_content_type() == f"text/{kind}"
    assert text_of(part) == text


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT + "From here on\n>From there\n",
        SCRIPT + "echo 'äöü €𝄞'\n",
        "#!/bin/sh\r\necho windows\r\n",
        "#!/bin/sh\necho no newline at the end",
        "#!/bin/sh\n" + "x" * 3000 + "\n\n\n",
        "#!/bin/sh\n--==0000==\nContent-Type: text/plain\n\n. \n",
    ],
)
def test_a_text_arrives_as_it_is(text: str) -> None:
    assert text_of(parts(work(user_data=text))[1]) == text


@pytest.mark.parametrize("text", ["echo hello\n", "<powershell>\n", "\n#!/bin/sh\n", "MIME-Version: 1.0\n\n", "#hello"])
def test_what_cloud_init_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="user_data begins with nothing that cloud-init knows"):
        user_data(work(user_data=text))


def test_what_is_too_long_is_refused_by_name() -> None:
    long = work(user_data="#!/bin/sh\n" + "#" * (MAX_BYTES - 1000))
    assert len(user_data(long)) <= MAX_BYTES
    with pytest.raises(
        Refused, match=r"user_data is too long: EC2 takes 16384 bytes, with the environment these are 1"
    ):
        user_data(work(user_data=long.user_data, env={"A": "x" * 1000}))


@pytest.mark.parametrize("name", ["a.b", "1A", "", "A-B", "A B", "A;reboot", "é"])
def test_a_name_that_no_shell_reads_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="env: "):
        user_data(work(env={name: "1"}))


def test_the_same_work_boots_with_the_same_bytes() -> None:
    one = work(env={"A": "1"})
    assert user_data(one) == user_data(one)
    assert user_data(one) != user_data(work(env={"A": "2"}))


def test_without_a_text_there_is_the_environment_alone() -> None:
    assert len(parts(work(user_data=""))) == 1
