"""Write docs/grafana-node.json: a node's metrics as a dashboard for Grafana. ``python scripts/grafana.py``."""

import json
from pathlib import Path
from typing import Any, Final

from neurogrid_node.metrics import catalogue as names
from neurogrid_telemetry.metrics import Kind, Metric

FILE: Final = Path(__file__).parent.parent / "docs/grafana-node.json"
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 12, 7


def _of(metric: Metric, suffix: str = "") -> str:
    """A metric of the nodes that were chosen."""
    total = "_total" if metric.kind is Kind.COUNTER else suffix
    return f'{metric.name}{total}{{instance=~"$instance"}}'


def _rate(metric: Metric, by: str) -> str:
    return f"sum by ({by}) (increase({_of(metric)}[$__rate_interval]))"


# Title, unit, and each line: its expression and its legend.
PANELS: Final[tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "Well",
        "short",
        tuple(
            (_of(metric), f"{metric.name.removeprefix('neurogrid_node_')} {{{{instance}}}}")
            for metric in (names.ACCEPTING, names.ENGINE_UP, names.CHAIN_UP, names.STAKE_OK)
        ),
    ),
    ("Coordinators", "short", ((_of(names.COORDINATORS), "{{state}} {{instance}}"),)),
    ("Leases now", "short", ((f"sum by (phase) ({_of(names.LEASES)})", "{{phase}}"),)),
    (
        "Leases over",
        "short",
        ((_rate(names.LEASES_OVER, "outcome, blame"), "{{outcome}} ({{blame}})"),),
    ),
    ("Calls for bids", "short", ((_rate(names.DEMANDS, "answer"), "{{answer}}"),)),
    ("Awards", "short", ((_rate(names.AWARDS, "answer"), "{{answer}}"),)),
    (
        "Earned, USDC",
        "short",
        (
            (f"{_of(names.EARNED)} / 1e6", "earned {{instance}}"),
            (f"{_of(names.UNREDEEMED)} / 1e6", "not redeemed {{instance}}"),
        ),
    ),
    (
        "Start of a lease, median and 95 %",
        "s",
        tuple(
            (
                f"histogram_quantile({quantile}, sum by (le) (rate("
                + _of(names.STEP_SECONDS, "_bucket").replace("{", '{step="start",')
                + "[$__rate_interval])))",
                f"{quantile}",
            )
            for quantile in (0.5, 0.95)
        ),
    ),
    ("GPUs: use", "percentunit", ((_of(names.GPU_BUSY), "{{gpu}}"),)),
    ("GPUs: memory", "bytes", ((_of(names.GPU_MEMORY_USED), "{{gpu}}"),)),
    ("GPUs: temperature", "celsius", ((_of(names.GPU_TEMPERATURE), "{{gpu}}"),)),
    ("GPUs: power", "watt", ((_of(names.GPU_POWER), "{{gpu}}"),)),
    ("GPUs that are not offered", "short", ((_of(names.GPU_WITHHELD), "{{gpu}} {{code}}"),)),
    ("Disks: free", "bytes", ((_of(names.DISK_FREE), "{{mount}} {{instance}}"),)),
    (
        "Leaks, and earnings that differ",
        "short",
        (
            (_rate(names.LEAKS, "leak"), "{{leak}}"),
            (_of(names.EARNINGS_DIFFER), "earnings {{instance}}"),
        ),
    ),
    (
        "The daemon's memory",
        "bytes",
        (('process_resident_memory_bytes{instance=~"$instance"}', "{{instance}}"),),
    ),
)


def dashboard() -> dict[str, Any]:
    """The document that Grafana imports."""
    return {
        "title": "NeuroGrid nodes",
        "uid": "neurogrid-nodes",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": f"label_values({names.INFO.name}, instance)",
                    "includeAll": True,
                    "multi": True,
                    "refresh": 2,
                },
            ]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(
    number: int, title: str, unit: str, lines: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {
            "h": _HEIGHT,
            "w": _WIDTH,
            "x": _WIDTH * (number % 2),
            "y": _HEIGHT * (number // 2),
        },
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(lines)
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
