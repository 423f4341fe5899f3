"""Text that no database of ours keeps."""

from __future__ import annotations

import re
from typing import Final

# NUL, which PostgreSQL refuses, and half a surrogate pair, which UTF-8 has no bytes for.
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
