#!/usr/bin/env python3
"""A mapper for streaming: its split on standard input, `word TAB count` on standard output."""

import re
import sys
from collections import Counter

WORD = re.compile(rb"[A-Za-z_]\w*")

counts: Counter[bytes] = Counter()
while lines := sys.stdin.buffer.readlines(1 << 22):
    counts.update(WORD.findall(b"".join(lines)))
for word, count in counts.items():
    sys.stdout.buffer.write(b"%b\t%d\n" % (word, count))
