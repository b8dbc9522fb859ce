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


def test_nothing_is_skipped_after_all_of_libp2p_has_been_imported() -> None:
    everything = "import warnings; warnings.simplefilter('ignore'); import libp2p; "
    run = subprocess.run(
        [sys.executable, "-c", everything + _LOADED], check=True, capture_output=True, text=True
    )
    assert "libp2p.host.basic_host" in run.stdout.split()
