"""Say whether a cloud is set up as it has to be."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from clusters.providers.base import Probe
from clusters.queries import REQUIRED_SETTINGS, cloud_at, cloud_regions, missing_settings

SIGNS: Final = {True: "ok  ", False: "FAIL", None: "?   "}


class Command(BaseCommand):
    help = (
        "Tries what a cloud has to have and permit, by calls that change nothing: a line for each, with what to do "
        "where something is missing. What cannot be told without doing it has a question mark. Exit code 1: "
        "something is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cloud", choices=[cloud for cloud, needed in REQUIRED_SETTINGS.items() if needed])
        parser.add_argument("--region", help="only this one; without it, all that are set up")
        parser.add_argument("--customer", default="", help="where this customer's jobs run, in an account of its own")

    def handle(self, *args: Any, **options: Any) -> None:
        cloud = options["cloud"]
        failed = 0
        for region in _regions(cloud, options["region"]):
            self.stdout.write(f"{cloud}/{region}")
            probes = _probes(cloud, region, options["customer"])
            failed += sum(probe.ok is False for probe in probes)
            for probe in probes:
                self.stdout.write(f"  {SIGNS[probe.ok]} {probe.what}: {probe.words}")
        if failed:
            raise CommandError(f"{failed} of these {'is' if failed == 1 else 'are'} not as needed.")
        self.stdout.write("Nothing is missing that can be told beforehand.")


def _regions(cloud: str, wished: str | None) -> list[str]:
    """Raises CommandError when the cloud, or the region, is not set up."""
    if missing := missing_settings(cloud):
        raise CommandError(f"{cloud} is not set up: {', '.join(missing)} not set. See docs/clouds.md.")
    regions = [region for known, region in cloud_regions() if known == cloud]
    if wished is None:
        return regions
    if wished not in regions:
        raise CommandError(f"The settings name no region {wished} of {cloud}; they name {', '.join(regions)}.")
    return [wished]


def _probes(cloud: str, region: str, customer: str) -> list[Probe]:
    try:
        return cloud_at(cloud, region).probe(customer)
    except ValueError as error:
        raise CommandError(f"The settings of {cloud} cannot be used: {error}") from error
