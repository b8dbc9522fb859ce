"""A daemon's log as it is started: whose lines it has, and what becomes of a crash. In a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, sys
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_telemetry.logs import start_logging
start_logging(LogSettings(level="debug", format="json", file=sys.argv[1]))
with about(lease="lease_7"):
    logging.getLogger("neurogrid_node.lease").debug("ours")
    logging.getLogger("httpcore.http11").debug("Authorization: Bearer secret")
    logging.getLogger("aiosqlite").info("insert into api_keys values ('secret')")
    logging.getLogger("urllib3").warning("a library's trouble")
raise RuntimeError("a defect")
"""


def test_libraries_are_heard_from_warnings_on_and_a_crash_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "node.log"
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["level"], line["message"], line.get("lease")) for line in lines] == [
        ("debug", "ours", "lease_7"),
        ("warning", "a library's trouble", "lease_7"),
        ("critical", "ended by a defect", None),
    ]
    assert lines[-1]["traceback"].endswith("RuntimeError: a defect")
    # Whoever started it by hand sees it too.
    assert run.stderr.endswith("RuntimeError: a defect\n")
