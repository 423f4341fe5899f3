"""A bar on stderr while something is waited for; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# How far it is: done, of how many in all (None: not known yet), in which words.
Tell = Callable[[int, int | None, str], None]


@contextmanager
def bar(title: str) -> Iterator[Tell]:
    """A function to tell how far it is; the bar is gone at the end."""
    if not sys.stderr.isatty():
        yield lambda done, total, words: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        TimeElapsedColumn(),
    )
    # rich would take what is printed to stdout to its own stream, above the bar: past a pipe.
    redirect = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=redirect) as progress:
        task = progress.add_task(title, total=None, words="")
        yield lambda done, total, words: progress.update(task, completed=done, total=total, words=words)
