#!/usr/bin/env python3
"""A reducer for streaming: lines grouped by their keys on standard input, a sum for each key on standard output."""

import itertools
import sys

pairs = (line.rstrip("\n").split("\t") for line in sys.stdin)
for word, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
    print(f"{word}\t{sum(int(count) for _, count in group)}")
