"""A process that calls a cloud, a turn for each line that it reads: `python -m tests.kill.caller CLOUD REGION`."""

from __future__ import annotations

import sys

import django


def main(cloud: str, region: str) -> None:
    django.setup()
    from clusters.queries import cloud_at
    from jobs.clouds import Caller
    from jobs.services.places import place_id

    caller = Caller(place_id(cloud, region), cloud_at(cloud, region))
    print("ready", flush=True)
    for _ in sys.stdin:
        caller.turn()
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
