"""What the program of a job sees: its environment, and the arguments that its command becomes.

The command is read by the rules of the POSIX shell, but no shell ever sees it. Values are put in after the words
were told apart, and are not read again: a file name may hold blanks, quotes or `$(rm)` and stays what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from jobtypes.seed.allocation import Allocation
from jobtypes.seed.manifest import ALLOCATED, OUTPUT_DIR, Manifest, variable_name

_MAX_NESTING: Final = 16  # of quotes and ${A/#/${B/#/…}}
_MAX_LENGTH: Final = 2 * 1024 * 1024  # of all arguments: what Linux takes, unless told otherwise
_BLANKS: Final = " \t\n"
_OPENING: Final = {'"': '"', "}": "${"}
_PLAIN = re.compile(r"""[^ \t\n'"\\$}]+""")
_CONTINUED: Final = "\\\n"  # a backslash at the end of a line, which may even stand within a name
_NAME = re.compile(r"[A-Za-z_](?:(?:\\\n)*[A-Za-z0-9_])*|[0-9]")
_BRACED_NAME = re.compile(r"[A-Za-z0-9_](?:(?:\\\n)*[A-Za-z0-9_])*")
_PREFIX: Final = "/#/"


def environment(
    manifest: Manifest,
    allocation: Allocation,
    *,
    output_dir: str,
    input_paths: Mapping[str, str],
    json_values: Mapping[str, Any],
    settings: Mapping[str, str],
) -> dict[str, str]:
    """The variables of a job, named in upper case with `_` for `-`.

    `input_paths`, `json_values` and `settings`, secrets among them, go by the manifest's names; what they lack is
    left unset, what the manifest lacks is left out. ALLOCATED_CPUS, _MEM and _DISK are always there, the other
    resources if the manifest names them. Cores and disk have six decimals, the rest are whole numbers, as Seed's
    own command line prints them.
    """
    variables = _allocated(manifest, allocation)
    for setting in manifest.settings:
        if setting.name in settings:
            variables[variable_name(setting.name)] = settings[setting.name]
    for file in manifest.input_files:
        if file.name in input_paths:
            variables[variable_name(file.name)] = input_paths[file.name]
    for value in manifest.input_json:
        if value.name in json_values:
            variables[variable_name(value.name)] = value_text(json_values[value.name])
    variables[OUTPUT_DIR] = output_dir
    return variables


def value_text(value: Any) -> str:
    """A JSON value as a variable holds it.

    Numbers, booleans, arrays and objects are JSON text. A string is the bare text, without quotes: Scale's own jobs
    get it so, and a program wants `abc`, not `"abc"`.
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def arguments(command: str, env: Mapping[str, str]) -> list[str]:
    """The words of a command: blanks separate them, single and double quotes and backslash keep them together.

    `$VAR`, `${VAR}` and `${VAR/#/prefix}`, which puts the prefix before the value of a variable that is set, are
    replaced outside of single quotes. What is unset is empty, and a word of nothing but empty values vanishes unless
    it is quoted. All else is plain: `| ; & < > ( ) * ? ~ #` and backquotes are characters of arguments, and so is a
    `$` that no name follows. ValueError, in words for the job type's author, for a quote or brace that is not
    closed, for other forms of `${…}`, and for more text than Linux takes.
    """
    return _Reader(command, env).read()


def _allocated(manifest: Manifest, allocation: Allocation) -> dict[str, str]:
    amounts = {
        "CPUS": f"{allocation.vcpus_milli // 1000}.{allocation.vcpus_milli % 1000:03d}000",
        "MEM": str(allocation.memory_mib),
        "DISK": f"{allocation.disk_mib}.000000",
        "SHAREDMEM": str(allocation.shm_mib or 0),
        "GPUS": str(allocation.gpus),
    }
    named = [variable_name(resource.name) for resource in manifest.resources]
    # A resource that we do not know is none that a job could have run with, so it was asked for with nothing.
    return {ALLOCATED + name: amounts.get(name, "0") for name in dict.fromkeys(("CPUS", "MEM", "DISK", *named))}


class _Reader:
    """One pass over a command. `_word` holds the pieces of the present word, and is None between words."""

    def __init__(self, command: str, env: Mapping[str, str]) -> None:
        self._command = command
        self._env = env
        self._at = 0
        self._nesting = 0
        self._unset = 0  # of the prefixes that we stand in, those of variables that are not set
        self._length = 0
        self._word: list[str] | None = None
        self._words: list[str] = []

    def read(self) -> list[str]:
        self._read_text("", quoted=False)
        self._end_word()
        return self._words

    def _read_text(self, end: str, *, quoted: bool) -> None:
        """Up to and with the mark `end`, "" being the command's own end. `quoted` is within double quotes."""
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise ValueError(f"The command nests deeper than {_MAX_NESTING} levels.")
        while self._at < len(self._command):
            if run := _PLAIN.match(self._command, self._at):
                self._at = run.end()
                self._add(run.group())
                continue
            mark = self._take(1)
            if mark == end:
                self._nesting -= 1
                return
            self._read_mark(mark, end, quoted)
        if end:
            raise ValueError(f"The command has a {_OPENING[end]} that is not closed.")

    def _read_mark(self, mark: str, end: str, quoted: bool) -> None:
        if mark == "$":
            self._read_variable(quoted)
        elif mark == "\\":
            self._read_escaped('$`"\\' + end if quoted else "")
        elif mark == '"':
            self._add("")
            self._read_text('"', quoted=True)
        elif mark == "'" and not quoted:
            self._read_literal()
        elif mark in _BLANKS and not quoted:
            self._end_word()
        else:
            self._add(mark)

    def _read_literal(self) -> None:
        end = self._command.find("'", self._at)
        if end < 0:
            raise ValueError("The command has a ' that is not closed.")
        self._add(self._take(end - self._at))
        self._at += 1

    def _read_escaped(self, special: str) -> None:
        """What follows a backslash; `special` are the only marks it guards, "" for every one."""
        mark = self._take(1)
        if not mark or (special and mark not in special + "\n"):
            self._add("\\" + mark)
        elif mark != "\n":  # which goes on with the line
            self._add(mark)

    def _read_variable(self, quoted: bool) -> None:
        self._join_lines()
        if self._command.startswith("{", self._at):
            self._at += 1
            self._read_braces(quoted)
        elif name := _NAME.match(self._command, self._at):
            self._at = name.end()
            self._add_value(self._value(name))
        else:
            self._add("$")

    def _read_braces(self, quoted: bool) -> None:
        self._join_lines()
        name = _BRACED_NAME.match(self._command, self._at)
        if name is None:
            raise ValueError("The command has a ${ without a variable's name.")
        self._at = name.end()
        value = self._value(name)
        self._join_lines()
        if self._command.startswith("}", self._at):
            self._at += 1
        elif self._command.startswith(_PREFIX, self._at):
            self._at += len(_PREFIX)
            self._unset += value is None
            self._read_text("}", quoted=quoted)
            self._unset -= value is None
        elif self._at == len(self._command):
            raise ValueError("The command has a ${ that is not closed.")
        else:
            raise ValueError("The command may say ${VAR} and ${VAR/#/prefix}, no other form with braces.")
        self._add_value(value)

    def _join_lines(self) -> None:
        while self._command.startswith(_CONTINUED, self._at):
            self._at += len(_CONTINUED)

    def _value(self, name: re.Match[str]) -> str | None:
        return self._env.get(name.group().replace(_CONTINUED, ""))

    def _take(self, count: int) -> str:
        self._at += count
        return self._command[self._at - count : self._at]

    def _add_value(self, value: str | None) -> None:
        if value:  # an empty one makes no word; the quotes around it do
            self._add(value)

    def _add(self, text: str) -> None:
        if self._unset:
            return
        self._length += len(text)
        if self._length > _MAX_LENGTH:
            raise ValueError(f"The command becomes longer than {_MAX_LENGTH} characters.")
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is not None and not self._unset:
            self._words.append("".join(self._word))
            self._word = None
