"""docs/telemetry.md has every event of the code, and the code logs every event of the page."""

import re
import runpy
from enum import StrEnum
from pathlib import Path

import pytest

from neurogrid_coordinator.log_events import CoordinatorEvent
from neurogrid_coordinator.metrics import catalogue as coordinator_metrics
from neurogrid_node.log_events import NodeEvent
from neurogrid_node.metrics import catalogue as node_metrics
from neurogrid_telemetry.metrics import Kind, Metric

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/telemetry.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The first cells of a section's table, each with its row."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n##")[0]
    return {name: row for row, name in re.findall(r"^(\| `(\w+)` \|.*)$", section, re.MULTILINE)}


@pytest.mark.parametrize(
    ("events", "heading", "package"),
    [
        (NodeEvent, "Events of a node", "node/neurogrid_node"),
        (CoordinatorEvent, "Events of a coordinator", "coordinator/neurogrid_coordinator"),
    ],
)
def test_the_page_has_the_events_and_their_fields(
    events: type[StrEnum], heading: str, package: str
) -> None:
    listed = rows(heading)
    assert list(listed) == [event.value for event in events]
    code = "".join(path.read_text() for path in (ROOT / package).rglob("*.py"))
    for event in events:
        calls = re.findall(rf"named\(\s*{events.__name__}\.{event.name}\b([^)]*)\)", code)
        assert calls, f"{event} is logged nowhere"
        fields = {field for call in calls for field in re.findall(r"(\w+)=", call)}
        assert fields == set(re.findall(r"`(\w+)`", listed[event].rsplit("|", 2)[1])), event


@pytest.mark.parametrize(
    ("catalogue", "heading"),
    [
        (node_metrics.CATALOGUE, "Metrics of a node"),
        (coordinator_metrics.CATALOGUE, "Metrics of a coordinator"),
    ],
)
def test_the_page_has_the_metrics_as_they_are(catalogue: tuple[Metric, ...], heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*)\| (.+) \|$", section, re.MULTILINE)
    assert listed == [
        (
            metric.name + ("_total" if metric.kind is Kind.COUNTER else ""),
            metric.kind,
            f" {', '.join(f'`{label}`' for label in metric.labels)} " if metric.labels else " ",
            metric.help,
        )
        for metric in catalogue
    ]


def test_the_dashboard_is_what_its_script_writes_and_asks_for_what_there_is() -> None:
    written = (ROOT / "docs/grafana-node.json").read_text()
    assert written == runpy.run_path(str(ROOT / "scripts/grafana.py"))["text"]()
    shown = {
        metric.name + {Kind.COUNTER: "_total", Kind.HISTOGRAM: "_bucket"}.get(metric.kind, "")
        for metric in node_metrics.CATALOGUE
    }
    asked = set(re.findall(r"neurogrid_node_\w+", written))
    assert asked
    assert asked <= shown
