"""What importing our libp2p brings into a process."""

import subprocess
import sys

_LOADED = "import sys, neurogrid_p2p.host; print(*sys.modules)"


def test_no_transport_that_we_do_not_speak_is_loaded() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _LOADED], check=True, capture_output=True, text=True
    )
    packages = {name.partition(".")[0] for name in run.stdout.split()}
    assert "libp2p" in packages
    assert not packages & {"aioquic", "dns", "httpx", "websockets", "zeroconf", "prometheus_client"}
