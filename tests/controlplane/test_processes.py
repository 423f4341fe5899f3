from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil

from controlplane.processes import living_tree
from tests.environment import CHECKOUT

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(child.pid, flush=True)
time.sleep(600)
"""
CHILD = """
import os, sys, time
from controlplane.processes import whole_tree_dies_with_parent
whole_tree_dies_with_parent(int(sys.argv[1]))
grandchild = os.fork()
if grandchild:
    print(grandchild, flush=True)
time.sleep(600)
"""


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_a_tree_dies_with_its_parent_however_that_ended() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, cwd=CHECKOUT)
    assert parent.stdout is not None
    child, grandchild = int(parent.stdout.readline()), int(parent.stdout.readline())
    assert {parent.pid, child, grandchild} <= living_tree(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert _gone(child)
    assert _gone(grandchild)
    assert living_tree(parent.pid) == frozenset()


def test_one_whose_parent_had_gone_before_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, "1"], cwd=CHECKOUT, timeout=30)
    assert done.returncode == 1


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.pid not in living_tree(os.getpid())
    child.wait()
