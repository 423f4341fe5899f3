"""`manage.py import_prices`: from a file and from a pipe, and what it says."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clusters.models import Price
from clusters.queries import price_list
from tests.clusters.offers import PRICE_LISTS

pytestmark = pytest.mark.django_db


def said(*arguments: str, **more: Any) -> str:
    out = io.StringIO()
    call_command("import_prices", *arguments, stdout=out, **more)
    return out.getvalue()


def test_a_file_of_aws() -> None:
    told = said("aws", str(PRICE_LISTS / "amazon_ec2.csv"))
    assert "Took 2 prices: 2 new, 0 changed, 0 kept; 2 offers are new." in told
    assert "They are of aws/eu-central-1." in told
    assert "Left 1 with software on it." in told
    rate = price_list("aws", "eu-central-1").rate(1000, 1024)
    assert rate is not None
    assert (rate.offer, rate.source) == ("made-up.small", "aws-price-list")


def test_once_more_changes_nothing_and_json_says_the_same_as_csv() -> None:
    said("aws", str(PRICE_LISTS / "amazon_ec2.csv"))
    before = list(Price.objects.order_by("pk").values())
    assert "0 new, 0 changed, 2 kept" in said("aws", str(PRICE_LISTS / "amazon_ec2.json"))
    assert list(Price.objects.order_by("pk").values()) == before


def test_answers_of_azure_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (PRICE_LISTS / "azure_retail.json").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    with (PRICE_LISTS / "azure_vm_sizes.json").open() as sizes:
        told = said("azure", "-", sizes=sizes)
    assert "Took 3 prices" in told
    rate = price_list("azure", "westeurope").rate(2000, 1024)
    assert rate is not None
    assert (rate.offer, rate.source, rate.is_example) == ("Standard_M2", "azure-retail", False)


def test_a_file_that_is_not_there_and_one_that_is_no_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        said("aws", str(tmp_path / "none"))
    odd = tmp_path / "odd"
    odd.write_text("name,price")
    with pytest.raises(CommandError, match="no line with the names"):
        said("aws", str(odd))


def test_a_list_of_which_nothing_is_of_use_fails() -> None:
    with pytest.raises(CommandError, match="of use"):
        said("azure", str(PRICE_LISTS / "azure_retail.json"))
