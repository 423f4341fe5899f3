from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from controlplane.core.keys import development_keys
from tests.environment import CHECKOUT


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    first = development_keys(tmp_path / "below" / "keys.json")
    assert development_keys(tmp_path / "below" / "keys.json") == first
    assert len(first["SECRET_KEY"]) > 60
    Fernet(first["ENCRYPTION_KEY"])


def test_only_their_owner_may_read_them_and_no_draft_stays(tmp_path: Path) -> None:
    development_keys(tmp_path / "keys.json")
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_processes_that_start_together_agree_on_one_file(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from controlplane.core.keys import development_keys;"
        "print(sorted(development_keys(Path(sys.argv[1])).items()))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "keys.json")]
    started = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    printed = {process.communicate(timeout=60)[0] for process in started}
    assert len(printed) == 1
    assert "SECRET_KEY" in printed.pop()
