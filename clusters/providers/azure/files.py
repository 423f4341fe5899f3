"""What tasks write: files on the node that ran them, which go when it goes."""

from __future__ import annotations

from typing import Final

from azure.core.exceptions import HttpResponseError

from clusters.providers.azure.account import Account, code_of
from clusters.providers.base import LogPage
from clusters.providers.errors import NotFound
from controlplane.core.utf8 import incomplete_tail

_NAMES: Final = {"stdout": "stdout.txt", "stderr": "stderr.txt"}
_LONGEST_CHARACTER_BYTES = 4
_NOTHING_THERE = "InvalidRange"  # an empty file, or all was read
_NO_FILE = ("FileNotFound", "NodeNotFound", "TaskFilesUnavailable", "TaskFilesCleanedup", "ResourceNotFound")


def read_page(
    account: Account, job: str, task: str, stream: str, after: int, limit: int, *, is_over: bool, has_run: bool
) -> LogPage:
    """At most `limit` bytes of `stream` from `after` on. `is_over` was asked before: what is read is all there is.

    A page does not end inside a character, unless nothing more will come. Raises NotFound when it has run and its
    files are gone.
    """
    after, limit = max(after, 0), max(limit, _LONGEST_CHARACTER_BYTES)
    if not has_run:
        return LogPage("", after, is_over)
    written = _read(account, job, task, stream, after, limit)
    if written is None:
        if is_over:
            raise NotFound(f"the files of {job}/{task} are gone with their node")
        return LogPage("", after, False)
    is_last = is_over and len(written) < limit
    if not is_last:
        written = written[: len(written) - incomplete_tail(written)]
    return LogPage(written.decode(errors="replace").replace("\0", ""), after + len(written), is_last)


def _read(account: Account, job: str, task: str, stream: str, after: int, limit: int) -> bytes | None:
    """Bytes of the file, b"" where nothing follows; None when there is no file (yet, or any more)."""

    def download() -> bytes:
        try:
            pieces = account.client.download_task_file(
                job, task, _NAMES[stream], ocp_range=f"bytes={after}-{after + limit - 1}"
            )
            return b"".join(pieces)
        except HttpResponseError as error:
            if code_of(error) == _NOTHING_THERE:
                return b""
            raise

    return account.call(f"read {stream}", download, unless=_NO_FILE)
