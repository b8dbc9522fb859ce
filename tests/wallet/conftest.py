"""What several modules of the wallet's tests start with."""

from pathlib import Path

import pytest

from wallet.fake_chain import FakeChain
from wallet.outbox_world import World


@pytest.fixture(params=["trio", "asyncio"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("neurogrid_wallet.rpc._BACKOFF_FIRST_S", 0.002)
    monkeypatch.setattr("neurogrid_wallet.outbox_driver._OUTAGE_WAIT_MAX_S", 0.02)
    return World(FakeChain(), tmp_path / "outbox.sqlite", request.param)
