"""Addresses of clouds' consoles, and the pages of the admin that lead there.

By region: https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html
"""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from clusters.models import HostingPlace, Placement
from clusters.providers.aws.links import log_page, object_page, queues_page
from clusters.providers.azure.links import jobs_page
from clusters.queries import link_of_object, link_of_region, links_of_placement
from jobs.services import artifacts
from tests.browsers import STAFF, browser, somebody
from tests.clouds import REGION, CloudStage
from tests.fleet import make_cluster, make_container

ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/a"
BUCKET = {"type": "s3", "bucket_name": "ours", "prefix": "raw/", "region_name": "eu-west-1"}


@pytest.mark.runs_once("sqlite", "it is about text")
@pytest.mark.parametrize(
    ("region", "begin"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(region: str, begin: str) -> None:
    assert queues_page(region) == f"{begin}/batch/home?region={region}#queues"
    assert log_page(region, "/aws/batch/job", "run/default/a[1]") == (
        f"{begin}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob"
        "/log-events/run$252Fdefault$252Fa$255B1$255D"
    )
    assert object_page(region, "ours", "raw/a b&c.tif") == (
        f"{begin}/s3/object/ours?region={region}&prefix=raw/a%20b%26c.tif"
    )


@pytest.mark.runs_once("sqlite", "it is about text")
def test_objects_have_a_page_where_they_are_aws_s() -> None:
    assert link_of_object(BUCKET, "a.tif") == (
        "https://eu-west-1.console.aws.amazon.com/s3/object/ours?region=eu-west-1&prefix=raw/a.tif"
    )
    no_region = {"type": "s3", "bucket_name": "ours"}
    assert link_of_object(no_region, "a.tif") == "https://console.aws.amazon.com/s3/object/ours?prefix=a.tif"
    for broker in ({**BUCKET, "endpoint_url": "https://minio.example"}, {"type": "host", "host_path": "/x"}):
        assert link_of_object(broker, "a.tif") == ""


@pytest.mark.runs_once("sqlite", "it is about text")
def test_a_batch_account_of_azure_has_its_jobs_page() -> None:
    assert jobs_page(ACCOUNT) == f"https://portal.azure.com/#resource{ACCOUNT}/jobs"
    assert jobs_page("") == "https://portal.azure.com/#browse/Microsoft.Batch%2FbatchAccounts"


@pytest.mark.django_db
def test_a_region_s_page_leads_to_its_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CloudStage(monkeypatch)
    for role in STAFF:
        page = browser(role).get(reverse("admin:jobs_place_change", args=[stage.place.pk])).content.decode()
        assert queues_page(REGION).replace("&", "&amp;") in page
        assert "rel='noopener noreferrer'" in page
    assert link_of_region("local", "local") == ""
    assert link_of_region("aws", "mars-1") == ""


@pytest.mark.django_db
def test_what_is_at_no_cloud_has_no_links_and_breaks_no_page() -> None:
    container = make_container(make_cluster(somebody("admin")))
    placement = Placement.objects.select_related("place").get(container=container)
    assert links_of_placement(placement) == ("", "")
    gone = HostingPlace.objects.create(cloud="aws", region="mars-1")
    Placement.objects.filter(pk=placement.pk).update(place=gone, handle="ecs::nonsense", run="r")
    assert links_of_placement(Placement.objects.select_related("place").get(pk=placement.pk)) == ("", "")
    assert browser("monitor").get(reverse("admin:clusters_container_change", args=[container.pk])).status_code == 200


@pytest.mark.django_db
def test_an_artifact_s_versions_lead_to_their_bucket(settings: Any) -> None:
    made = artifacts.put_artifact(actor=somebody("operator"), name="sum", source=[b"#!/bin/sh\n"], protocol="apollo")
    page = reverse("admin:jobs_artifact_change", args=[made.pk])
    assert "console.aws.amazon.com" not in browser("monitor").get(page).content.decode()
    settings.ARTIFACT_STORAGE = BUCKET
    assert "https://eu-west-1.console.aws.amazon.com/s3/object/ours" in browser("monitor").get(page).content.decode()
