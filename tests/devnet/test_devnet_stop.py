"""Stopping a devnet from another process."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from neurogrid_devnet.layout import Layout, Settings
from neurogrid_devnet.stop import stop

pytestmark = pytest.mark.processes

SUPERVISOR = textwrap.dedent("""
    import os, signal, sys, time
    from pathlib import Path
    from neurogrid_devnet.layout import Layout
    from neurogrid_devnet.processes import identify
    from neurogrid_devnet.state_file import Phase, State, write_state

    layout = Layout(Path(sys.argv[1]))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with layout.locked():
        write_state(layout.state, State(identify(os.getpid()), Phase.READY))
        print("ready", flush=True)
        signal.sigwait([signal.SIGTERM])
    time.sleep(0.5)
""")


def test_a_supervisor_that_ends_later_than_its_lock_is_waited_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make_folders()
    layout.write_settings(Settings(nodes=1, ledger_port=1, p2p_port=2, api_port=3))
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        assert stop(layout)
        assert supervisor.poll() == 0
