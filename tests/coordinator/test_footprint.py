"""What the process of the REST API does without."""

import subprocess
import sys


def test_the_apis_process_does_not_load_libp2p() -> None:
    program = "import sys, neurogrid_coordinator.daemon as d; print([m for m in sys.modules if m.startswith('libp2p')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n", "its market process does: 30 MiB, and half a second of each start"
