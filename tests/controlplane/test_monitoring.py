"""The rules and the dashboard of deploy/: Prometheus takes them, and they ask for what /metrics has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.environment import CHECKOUT

PROMETHEUS: Final = CHECKOUT / "deploy" / "prometheus"
DASHBOARD: Final = CHECKOUT / "deploy" / "grafana" / "dashboard.json"
_PARTS: Final = re.compile(r"_(bucket|count|sum|total)$")


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def exported() -> set[str]:
    """The metrics that the source names: gauges of the page, and what is counted as it happens."""
    page = (CHECKOUT / "controlplane" / "metrics.py").read_text()
    counted = (CHECKOUT / "controlplane" / "core" / "instruments.py").read_text()
    gauges = {f"controlplane_{name}" for name in re.findall(r'_gauge\(\s*"([a-z_]+)"', page)}
    return gauges | set(re.findall(r'"(controlplane_[a-z_]+)"', counted))


def asked(text: str) -> set[str]:
    names = set(re.findall(r"controlplane_[a-z_]+", text))
    return {name if name in exported() else _PARTS.sub("", name) for name in names}


@pytest.mark.needs("prometheus")
def test_the_alerts_fire_when_they_should_and_not_else() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


@pytest.mark.needs("prometheus")
def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    token = tmp_path / "controlplane.token"
    token.write_text("a-token")
    text = (PROMETHEUS / "prometheus.yml").read_text()
    assert text.count("/etc/prometheus/controlplane.token") == text.count("type: Bearer") == 2
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/controlplane.token", str(token)))
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    promtool("check", "config", "prometheus.yml", folder=tmp_path)


def test_alerts_and_dashboard_ask_for_what_there_is() -> None:
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    for text in ((PROMETHEUS / "alerts.yml").read_text(), "\n".join(expressions)):
        assert asked(text)
        assert asked(text) <= exported()
    assert asked("\n".join(expressions)) == exported(), "the dashboard leaves something out"


def test_every_panel_has_a_title_a_unit_and_the_chosen_source() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["legendFormat"] for target in panel["targets"])
