"""This thread's database connection, in the web server's many threads: given back early, mended when it broke.

On PostgreSQL the web server's threads share a small pool (settings), elsewhere each has its own.
"""

from __future__ import annotations

from django.db import InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from controlplane.core.errors import Unavailable


def give_back() -> None:
    """Hold no connection from here on; the next statement takes one again. Not inside a transaction."""
    if not connection.in_atomic_block:
        connection.close()


def mend() -> None:
    """After a statement failed because its connection was broken: the next one gets a connection that works.

    A restarted database has broken all of a pool's connections at once, not only the one that found out.
    """
    connection.close()
    _purge()


def _purge() -> None:
    pool = getattr(connection, "pool", None)
    if pool is not None:
        pool.check()


def is_exhausted(error: BaseException) -> bool:
    """Did nobody give a connection back to the pool in time, or could none be made?"""
    return isinstance(error.__cause__, PoolTimeout)


def refusal_after(error: BaseException) -> Unavailable | None:
    """What to tell the caller of a request that failed so, when it is that there was no connection to be had.

    Every surface asks this of what it did not foresee. When a connection broke instead, that request has
    failed, but the pool's others that broke with it are replaced before the next.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    if is_exhausted(error):
        return Unavailable("The database is busy, or out of reach; try again soon.")
    _purge()
    return None
