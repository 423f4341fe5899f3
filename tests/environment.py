"""The environment of a test run, made before settings are read: keys and folders of its own.

Imported first by conftest.py. The first process makes the keys, and the folder unless `tests.run` has
made it; xdist's workers find both in their environment and take a folder of their own below it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

CHECKOUT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
RUN_FOLDER = "TEST_RUN_FOLDER"
_PREPARED = "TEST_RUN_PREPARED"


def prepare() -> Path:
    """Set the environment; return this process's own folder."""
    if RUN_FOLDER not in os.environ:
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="cp-test-")
    if _PREPARED not in os.environ:
        os.environ[_PREPARED] = "1"
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(32)
        os.environ["ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
        for name in ("DEBUG", "SECRET_KEY_FILE", "ENCRYPTION_KEYS_FILE", "DATABASE_URL_FILE"):
            os.environ.pop(name, None)
    folder = Path(os.environ[RUN_FOLDER]) / WORKER
    folder.mkdir(exist_ok=True)
    os.environ["DATA_DIR"] = str(folder / "data")
    os.environ["MAPREDUCE_FOLDERS"] = str(folder / "data" / "mapreduce")
    # WhiteNoise warns when the folder of static files is not there.
    (folder / "data" / "static").mkdir(parents=True, exist_ok=True)
    os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
    return folder
