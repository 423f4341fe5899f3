"""How questions become queries: text stays text, and nobody's scope is not everybody's."""

from __future__ import annotations

from uuid import UUID

import pytest
import yaml

from clusters.telemetry.promql import (
    LONGEST_SECONDS,
    RATE_SECONDS,
    MetricLabel,
    MetricName,
    Question,
    Scope,
    expression,
)
from clusters.telemetry.quoting import literal, quoted
from controlplane.core.errors import InvalidRequest
from tests.environment import CHECKOUT

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")

ONE, TWO = UUID(int=1), UUID(int=2)
OF_ONE = Scope.of_instances([ONE])


def test_names_and_labels_are_those_of_the_contract() -> None:
    contract = yaml.safe_load((CHECKOUT / "tests/contracts/fishjam.yaml").read_text())["components"]["schemas"]
    assert [name.value for name in MetricName] == contract["MetricName"]["enum"]
    assert [label.value for label in MetricLabel] == contract["MetricLabel"]["enum"]


@pytest.mark.parametrize("metric", MetricName)
@pytest.mark.parametrize("interval", [None, 60])
def test_there_is_a_query_for_each(metric: MetricName, interval: int | None) -> None:
    query = expression(Question(metric, OF_ONE, interval_seconds=interval))
    assert query.count(f'{{instance_uuid="{ONE}"}}') == 1
    assert query.startswith(("sum (", "avg ("))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question(MetricName.ROOMS, OF_ONE), f'sum (fishjam_rooms{{instance_uuid="{ONE}"}})'),
        (
            Question(MetricName.ROOMS, Scope.of_clusters([ONE, TWO]), MetricLabel.INSTANCE, 600),
            f'sum by (instance_uuid) (avg_over_time(fishjam_rooms{{cluster_uuid=~"{ONE}|{TWO}"}}[600s]))',
        ),
        (
            Question(MetricName.CPU, Scope.of_user("a@b.c"), interval_seconds=600, resolution_seconds=30),
            'avg (avg_over_time(node_cpu_usage_ratio{user_email="a@b.c"}[600s:30s]))',
        ),
        (
            Question(MetricName.PEER_TIME, OF_ONE, MetricLabel.CLUSTER, 60),
            f'sum by (cluster_uuid) (increase(fishjam_room_peer_time_total_seconds{{instance_uuid="{ONE}"}}[60s]))',
        ),
        (
            Question(MetricName.EGRESS_HTTP_RATE, OF_ONE, interval_seconds=60),
            f'sum (rate(fishjam_traffic_egress_http_total_bytes{{instance_uuid="{ONE}"}}[60s]))',
        ),
    ],
)
def test_a_question_is_put(question: Question, expected: str) -> None:
    assert expression(question) == expected


@pytest.mark.parametrize(
    ("step", "window"), [(0, RATE_SECONDS), (15, RATE_SECONDS), (300.5, 301), (1e300, LONGEST_SECONDS)]
)
def test_a_rate_without_an_interval_leaves_no_gap(step: float, window: int) -> None:
    query = expression(Question(MetricName.EGRESS_HTTP_RATE, OF_ONE), step)
    assert f"[{window}s]" in query


@pytest.mark.parametrize("scope", [Scope.of_instances([]), Scope.of_user(""), Scope(MetricLabel.USER, ("a", ""))])
def test_nobody_s_is_not_everybody_s(scope: Scope) -> None:
    with pytest.raises(ValueError, match="without values"):
        expression(Question(MetricName.ROOMS, scope))


@pytest.mark.parametrize(
    ("interval", "resolution", "field"),
    [
        (0, None, "interval"), (-1, None, "interval"), (LONGEST_SECONDS + 1, None, "interval"),
        (None, 5, "resolution"), (60, 0, "resolution"), (60, -5, "resolution"), (20_000, 1, "resolution"),
    ],
)  # fmt: skip
def test_numbers_that_go_together_with_nothing_are_refused_by_name(
    interval: int | None, resolution: int | None, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Question(MetricName.ROOMS, OF_ONE, interval_seconds=interval, resolution_seconds=resolution)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b.c", '"a@b.c"'),
        ('"} or vector(1) #', r'"\"} or vector(1) #"'),
        ("back\\slash", r'"back\\slash"'),
        ("new\nline\x00", r'"new\U0000000aline\U00000000"'),
        ("ünï💧", r'"ünï\U0001f4a7"'),
    ],
)
def test_text_in_quotes_stays_text(text: str, expected: str) -> None:
    assert quoted(text) == expected


def test_a_pattern_of_text_is_that_text() -> None:
    assert literal("a.b*c|[d](e)^$\\") == r"a\.b\*c\|\[d\]\(e\)\^\$\\"
