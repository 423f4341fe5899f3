"""Physical limits, measured in the same run as what is compared with them."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

_C = r"""
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
extern char **environ;
int main(int c, char **v) {
  char *a[] = {"/bin/true", 0};
  for (int i = atoi(v[1]); i > 0; i--) {
    pid_t p; int s;
    if (posix_spawn(&p, a[0], 0, 0, a, environ)) return 1;
    waitpid(p, &s, 0);
    if (s) return 2;
  }
  return 0;
}
"""


def fork_exec_rate(times: int = 1500) -> float:
    """How many times a second /bin/true is started and waited for by two C programs at once."""
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(Path(folder))
        start = time.perf_counter()
        running = [subprocess.Popen([program, str(times)]) for _ in range(2)]
        assert [process.wait() for process in running] == [0, 0]
        return 2 * times / (time.perf_counter() - start)


def _compiled(folder: Path) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "needs a C compiler"
    program, source = folder / "spawn", folder / "spawn.c"
    source.write_text(_C)
    subprocess.run([compiler, "-O2", str(source), "-o", str(program)], check=True)
    return str(program)


def fork_exec_cpu(times: int = 1500) -> float:
    """CPU seconds of one posix_spawn + wait of /bin/true, from C; from Python where no compiler is."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        start = _children()
        for _ in range(times):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        return (_children() - start) / times
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(Path(folder))
        start = _children()
        subprocess.run([program, str(times)], check=True)
        return (_children() - start) / times


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def copy_rows_per_second(url: str, rows: int = 20_000) -> float:
    """COPY of rows like a job's (uuid key, JSON, two more indexes) into PostgreSQL."""
    ddl = (
        "CREATE TABLE bench_copy (id uuid PRIMARY KEY, name text NOT NULL, status text NOT NULL, owner text NOT NULL,"
        " priority int NOT NULL, spec jsonb NOT NULL, created_at timestamptz NOT NULL, attempts int NOT NULL,"
        " queue text NOT NULL); CREATE INDEX ON bench_copy (status, created_at);"
        " CREATE INDEX ON bench_copy (created_at, id)"
    )
    spec = json.dumps({"command": ["/bin/true"], "env": {"A": "1"}, "tags": {"team": "x"}, "resources": {"vcpus": 1}})
    lines = "".join(
        f"{uuid.uuid4()}\tjob-{i}\tqueued\talice\t0\t{spec}\t2026-01-01T00:00:00+00:00\t0\tdefault\n"
        for i in range(rows)
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_copy")
        for statement in ddl.split(";"):
            connection.execute(statement.encode())
        start = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY bench_copy FROM STDIN") as copy:
            copy.write(lines)
        elapsed = time.perf_counter() - start
        connection.execute("DROP TABLE bench_copy")
    return rows / elapsed
