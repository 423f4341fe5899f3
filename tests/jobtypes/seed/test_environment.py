from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtypes.seed.allocation import Allocation, allocate
from jobtypes.seed.environment import arguments, environment, value_text
from jobtypes.seed.manifest import read_manifest
from tests.jobtypes.seed.documents import attempt, fuzzed, manifest, sample_manifest

ENV = {"A": "one", "B_2": "two words", "EMPTY": "", "EVIL": "x; $(rm -rf /) `id` \"'\\ $A *", "1ST": "first"}


def environment_of(interface: dict[str, Any], **given_values: Any) -> dict[str, str]:
    read = manifest(interface=interface)
    return environment(
        read,
        allocate(read, 0),
        output_dir="/out",
        input_paths=given_values.get("input_paths", {}),
        json_values=given_values.get("json_values", {}),
        settings=given_values.get("settings", {}),
    )


class TestEnvironment:
    def test_the_customers_own_sample_has_all_its_variables(self) -> None:
        read = read_manifest(sample_manifest())
        found = environment(
            read,
            allocate(read, 1),
            output_dir="/scale/output_data",
            input_paths={"INPUT_TEXT": "/in/a b.txt"},
            json_values={"READ_LENGTH": 5},
            settings={"DB_HOST": "some.host", "DB_PASS": "secret"},
        )
        assert found == {
            "OUTPUT_DIR": "/scale/output_data",
            "INPUT_TEXT": "/in/a b.txt",
            "READ_LENGTH": "5",
            "DB_HOST": "some.host",
            "DB_PASS": "secret",
            "ALLOCATED_CPUS": "1.500000",
            "ALLOCATED_MEM": "244",
            "ALLOCATED_SHAREDMEM": "1",
            "ALLOCATED_DISK": "15.000000",
        }
        assert arguments(read.command, found) == ["/in/a b.txt", "5"]

    def test_names_are_normalised(self) -> None:
        interface = {
            "settings": [{"name": "db-host"}],
            "inputs": {"files": [{"name": "in-File"}], "json": [{"name": "a-b_c", "type": "integer"}]},
        }
        found = environment_of(
            interface, settings={"db-host": "h"}, input_paths={"in-File": "/f"}, json_values={"a-b_c": 1}
        )
        assert (found["DB_HOST"], found["IN_FILE"], found["A_B_C"]) == ("h", "/f", "1")

    def test_what_was_not_given_is_unset_and_what_is_not_known_left_out(self) -> None:
        interface = {"settings": [{"name": "s"}], "inputs": {"files": [{"name": "f", "required": False}]}}
        found = environment_of(interface, settings={"x": "1"}, input_paths={"y": "2"}, json_values={"z": 3})
        assert set(found) == {"OUTPUT_DIR", "ALLOCATED_CPUS", "ALLOCATED_MEM", "ALLOCATED_DISK"}

    @pytest.mark.parametrize(
        ("allocation", "expected"),
        [
            (Allocation(250, 128, 0, None, 0), {"CPUS": "0.250000", "MEM": "128", "DISK": "0.000000", "GPUS": "0"}),
            (Allocation(1000, 1024, 5, 7, 2), {"CPUS": "1.000000", "MEM": "1024", "DISK": "5.000000", "GPUS": "2"}),
            (Allocation(1005, 1024, 5, 7, 2), {"CPUS": "1.005000"}),
        ],
    )
    def test_amounts_are_spelled_as_seed_spells_them(self, allocation: Allocation, expected: dict[str, str]) -> None:
        scalar = [{"name": name, "value": 0} for name in ("sharedMem", "gpus", "some-thing")]
        read = manifest(resources={"scalar": scalar})
        found = environment(read, allocation, output_dir="/o", input_paths={}, json_values={}, settings={})
        assert expected.items() <= {name.removeprefix("ALLOCATED_"): value for name, value in found.items()}.items()
        assert found["ALLOCATED_SHAREDMEM"] == str(allocation.shm_mib or 0)
        assert found["ALLOCATED_SOME_THING"] == "0"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("plain text", "plain text"), ("", ""), ('"quoted"', '"quoted"'), (True, "true"), (False, "false"),
            (5, "5"), (1.5, "1.5"), (None, "null"), ([1, "é", None], '[1,"é",null]'),
            ({"a": {"b": True}}, '{"a":{"b":true}}'),
        ],
    )  # fmt: skip
    def test_values_are_json_text_but_strings_are_bare(self, value: Any, text: str) -> None:
        assert value_text(value) == text


class TestArguments:
    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("", []),
            (" \t\n ", []),
            ("run a  b\tc\nd", ["run", "a", "b", "c", "d"]),
            ("'a b' \"c d\" e\\ f", ["a b", "c d", "e f"]),
            ("a'b'\"c\"d", ["abcd"]),
            ("'' \"\" x", ["", "", "x"]),
            ("$A ${A} '$A' \"$A\" \\$A", ["one", "one", "$A", "one", "$A"]),
            ("$B_2", ["two words"]),
            ("x$B_2'y'", ["xtwo wordsy"]),
            ("$EVIL", [ENV["EVIL"]]),
            ('"$EVIL"', [ENV["EVIL"]]),
            ("$EMPTY $NOBODY ${NOBODY}", []),
            ("\"$EMPTY\" $EMPTY'' \"$NOBODY\"", ["", "", ""]),
            ("-f$NOBODY", ["-f"]),
            ("$Ax $A-x $A.x ${A}x", ["one-x", "one.x", "onex"]),
            ("${1ST}", ["first"]),
            ("${A/#/-i} ${A/#/--x=}", ["-ione", "--x=one"]),
            ("${A/#/-i }", ["-i", "one"]),
            ('"${A/#/-i }"', ["-i one"]),
            ("${B_2/#/-i '}' \\} }", ["-i", "}", "}", "two words"]),
            ("${NOBODY/#/-i }", []),
            ("a${NOBODY/#/-i b c}d", ["ad"]),
            ("${EMPTY/#/-i }", ["-i"]),
            ("${A/#/$B_2=}", ["two words=one"]),
            ("${A/#/${NOBODY/#/-x }-y }", ["-y", "one"]),
            ("${NOBODY/#/${A/#/-x }-y }z", ["z"]),
            ("a | b; c && d > e < f $(g h) `i` (j) # k * ? ~ {l,m} !",
             ["a", "|", "b;", "c", "&&", "d", ">", "e", "<", "f", "$(g", "h)", "`i`", "(j)", "#", "k", "*", "?", "~",
              "{l,m}", "!"]),
            ("$ a$ $$ $- \"$\" }", ["$", "a$", "$$", "$-", "$", "}"]),
            ("\"a\\b\\$\\\"\\\\\\`\"", ["a\\b$\"\\`"]),
            ("a\\\nb \"c\\\nd\" 'e\\\nf'", ["ab", "cd", "e\\\nf"]),
            ("$B\\\n_\\\n2 ${\\\nA\\\n} $\\\nA\\\nx $\\\n{A}", ["two words", "one", "one"]),
            ("a\\", ["a\\"]),
            ("é 名前 \u00a0", ["é", "名前", "\u00a0"]),
        ],
    )  # fmt: skip
    def test_a_command_becomes_its_words(self, command: str, words: list[str]) -> None:
        assert arguments(command, ENV) == words

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            ("a 'b", "a ' that is not closed"),
            ('a "b', 'a " that is not closed'),
            ("\"a '\" '", "a ' that is not closed"),
            ("${A", "${ that is not closed"),
            ("${A/#/x", "${ that is not closed"),
            ("${NOBODY/#/x '}", "a ' that is not closed"),
            ("${", "without a variable's name"),
            ("${}", "without a variable's name"),
            ("${-x}", "without a variable's name"),
            ("${A:-x}", "no other form"),
            ("${A-x}", "no other form"),
            ("${A/x/y}", "no other form"),
            ("${A/#/" * 50, "nests deeper"),
            ("$BIG " * 100, "longer than"),
        ],
    )
    def test_a_command_that_makes_no_sense_is_told_in_words(self, command: str, said: str) -> None:
        with pytest.raises(ValueError, match="The command ") as caught:
            arguments(command, ENV | {"BIG": "x" * 100_000})
        assert said in str(caught.value)
        assert "xxx" not in str(caught.value)

    @fuzzed
    @given(st.text(st.sampled_from(list("ab A1_${}/#'\"\\ \n;|&<>()`*\0\ud800é")), max_size=40))
    def test_any_text_has_words_or_is_refused(self, command: str) -> None:
        outcome = attempt(lambda: arguments(command, ENV), ValueError)
        assert isinstance(outcome, ValueError) or all(isinstance(word, str) for word in outcome)

    @fuzzed
    @given(st.text(max_size=30))
    def test_a_value_is_one_argument_whatever_it_is(self, value: str) -> None:
        env = {"V": value}
        assert arguments('run "$V" x${V}y \'\' "a ${V/#/-p }"', env) == [
            "run",
            value,
            f"x{value}y",
            "",
            f"a -p {value}",
        ]
        assert arguments("$V", env) == ([value] if value else [])


# Texts that the real shell and we must read alike: no operators, no globs, no comments, no blanks in values.
PIECES = [
    "a", "b-c", "=", "/", ".", ",", "%", "@", ":", "é", " ", "  ", "\t", "\\\n", "'", '"', "\\", "'x y'", '"x y"', '""',
    "''", "$A", "${A}", "${NOBODY}", "$NOBODY", "$EMPTY", '"$EMPTY"', '"$B"', "\\$", "\\\\", "\\'", '\\"', "}", "\\ ",
    "$", "${",
]  # fmt: skip
SHELL_ENV = {"A": "one", "B": "b:c", "EMPTY": ""}


def words_of_the_shell(command: str, env: Mapping[str, str]) -> list[str] | None:
    """What /bin/sh takes the command for, or None where it cannot read it."""
    script = f'set -- begin {command}\nfor word do printf "%s\\0" "$word"; done'.encode()
    done = subprocess.run(["/bin/sh", "-c", script], env=dict(env), capture_output=True, timeout=20, check=False)
    return done.stdout.decode().split("\0")[1:-1] if done.returncode == 0 else None


class TestAgainstTheShell:
    @fuzzed
    @given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
    def test_the_shell_finds_the_same_words(self, command: str) -> None:
        ours = attempt(lambda: arguments(command, SHELL_ENV), ValueError)
        if isinstance(ours, ValueError) or _is_special(command):
            return
        assert ours == words_of_the_shell(command, SHELL_ENV)

    @pytest.mark.parametrize("command", ["a 'b", 'a "b', "${A", "${}"])
    def test_the_shell_refuses_what_we_refuse(self, command: str) -> None:
        assert words_of_the_shell(command, SHELL_ENV) is None
        with pytest.raises(ValueError, match="The command"):
            arguments(command, SHELL_ENV)

    @pytest.mark.parametrize(
        "command",
        ["$A '$A' \"$A\"", "\"$B\"${A}'c d'", 'a\\ b "\\$A\\a"', "$EMPTY \"$EMPTY\" ''", '-x${NOBODY}y "${NOBODY}"'],
    )
    def test_the_shell_agrees_on_the_common_forms(self, command: str) -> None:
        assert arguments(command, SHELL_ENV) == words_of_the_shell(command, SHELL_ENV)


def _is_special(command: str) -> bool:
    """`$$`, `$@`, a last backslash and a bare line break mean other things to a script than to a command of ours."""
    line = command.replace("\\\n", "")
    return "$$" in line or "$@" in line or line.endswith("\\") or re.search(r"(?<!\\)(\\\\)+\n", command) is not None
