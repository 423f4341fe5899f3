"""Short names for contents: the same for the same, another for every other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

DIGITS: Final = 20


def fingerprint(content: Mapping[str, Any]) -> str:
    """So many hexadecimal digits. `content` is anything that JSON can say."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGITS]
