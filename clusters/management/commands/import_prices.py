"""Take over a cloud's price list."""

from __future__ import annotations

import sys
from argparse import FileType
from collections import Counter
from io import BufferedReader
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from clusters.errors import PriceListUnreadable
from clusters.models import Source
from clusters.services import Imported, import_prices, read_aws, read_azure, read_sizes

SHOWN_REGIONS = 10


class Command(BaseCommand):
    help = (
        "Take prices over from a price list file of AWS (AmazonEC2 or AmazonECS, JSON or CSV), or from answers of "
        "Azure's retail price API. Doing it again changes nothing; a new price ends the one before it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cloud", choices=["aws", "azure"])
        parser.add_argument("file", help="the file; - is what comes through the pipe")
        parser.add_argument("--sizes", type=FileType("r"), help="an answer of `az vm list-sizes --output json`")

    def handle(self, *args: Any, **options: Any) -> None:
        left = Counter[str]()
        try:
            if options["file"] == "-":
                done = self._import(cast(BufferedReader, sys.stdin.buffer), options, left)
            else:
                with open(options["file"], "rb") as file:
                    done = self._import(file, options, left)
        except (PriceListUnreadable, OSError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        self._tell(done, left)

    def _import(self, file: BufferedReader, options: dict[str, Any], left: Counter[str]) -> Imported:
        if options["cloud"] == "aws":
            return import_prices(read_aws(file, left), Source.AWS)
        sizes = read_sizes(options["sizes"].read()) if options["sizes"] else None
        return import_prices(read_azure(file, left, sizes), Source.AZURE)

    def _tell(self, done: Imported, left: Counter[str]) -> None:
        """What was taken, and what was left and why."""
        told = ", ".join(f"{done.prices[kind]} {kind}" for kind in ("new", "changed", "kept"))
        self.stdout.write(f"Took {done.prices.total()} prices: {told}; {done.offers} offers are new.")
        names = [f"{cloud}/{region}" for cloud, region in sorted(done.regions)]
        if names:
            more = f" and {len(names) - SHOWN_REGIONS} more" if len(names) > SHOWN_REGIONS else ""
            self.stdout.write(f"They are of {', '.join(names[:SHOWN_REGIONS])}{more}.")
        left["said twice"] += done.left
        for why, count in sorted((+left).items(), key=lambda item: (-item[1], item[0])):
            self.stdout.write(f"Left {count} {why}.")
        if not done.prices.total():
            raise CommandError("No price in it was of use.")
