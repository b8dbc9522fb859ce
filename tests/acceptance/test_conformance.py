"""Every request that the documents print, made to a coordinator of real processes, is answered as they print it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.network import Devnet
from conformance.document_001_batches import put_file
from conformance.recording import SPOKEN
from neurogrid.profile import WALLET_KEY_VARIABLE
from neurogrid_devnet.layout import Layout

pytestmark = [pytest.mark.engine, pytest.mark.processes]

_TESTS = Path(__file__).parent.parent
_PATIENCE_S = 600


def test_a_devnet_answers_as_the_documents_print(devnet: Devnet) -> None:
    network = devnet.network
    account = devnet.http.get("/account").json()["data"]["id"]
    put_file(Layout(devnet.data).uploads / account)
    command = [sys.executable, "-m", "conformance"]
    command += ["--url", network.api_url, "--key", network.api_key]
    # A port of this machine that a devnet's coordinator sends events to; nobody listens there.
    command += ["--webhook-url", "http://hooks.localhost:8099/"]
    assert SPOKEN.exists(), "make build/debian/pocketsphinx-testdata"
    command += ["--recording", str(SPOKEN)]
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "PYTHONPATH": str(_TESTS),
            WALLET_KEY_VARIABLE: network.client_keypair,
        },
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DIFF" not in done.stdout
    assert "ok   POST /models/transcribe" in done.stdout
    assert "ok   POST /models/generate/image" in done.stdout
    for call in ("create", "stream", "update", "get_metrics", "cancel"):
        assert f"ok   client.tasks.{call}" in done.stdout
    for call in ("accept", "start", "update_progress", "complete", "fail"):
        assert f"ok   provider.tasks.{call}" in done.stdout
    assert done.stdout.count("ok  ") >= 76
