"""A lease's last voucher is redeemed again and again until that is over, and nothing else is signed for it."""

import base64
import json
import threading
from pathlib import Path

import httpx
import pytest

from coordinator.fake_parties import DEPLOYMENT
from neurogrid import ConfigurationError
from neurogrid.machine import own_wallet
from neurogrid.machine.own_wallet import OwnWallet
from neurogrid.machine.reviewing import Program
from neurogrid.profile import Profile
from neurogrid.transport import Transport
from neurogrid_marketplace.messages import VoucherMessage
from sdk.fake_market import ADDRESS, WALLET
from sdk.test_reviewing import GOOD, of

LEASE = "lease_" + "1" * 32
PROGRAM = Program(str(DEPLOYMENT.program_id), str(DEPLOYMENT.config))


def wallet(folder: Path, answers: list[httpx.Response]) -> OwnWallet:
    """One whose coordinator answers so, one after the other."""
    file = folder / "wallet.json"
    file.write_text(json.dumps(list(WALLET.seed + WALLET.public_key)))
    transport = Transport(
        Profile("http://market", "ng_key", file),
        retries_max=0,
        http=httpx.MockTransport(lambda _: answers.pop(0)),
    )
    return OwnWallet(transport, file, ADDRESS, folder / "program", PROGRAM)


def refused(**details: object) -> httpx.Response:
    error = {"code": "CONFLICT", "message": "no", "details": details}
    return httpx.Response(409, json={"success": False, "error": error})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_wallet, "_RETRY_FIRST_S", 0.0)


def test_it_asks_until_the_escrow_is_closed(tmp_path: Path) -> None:
    away = httpx.Response(503, json={"error": {"code": "UNAVAILABLE", "message": "later"}})
    answers = [refused(), away, refused(settled=True)]
    assert wallet(tmp_path, answers).redeem(LEASE, None, threading.Event()) == ""
    assert not answers
    stopped = threading.Event()
    stopped.set()
    assert wallet(tmp_path, []).redeem(LEASE, None, stopped) is None


def test_it_gives_up_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_wallet, "_REDEEM_PATIENCE_S", -1.0)
    assert wallet(tmp_path, []).redeem(LEASE, None, threading.Event()) == ""


def test_what_is_no_claim_of_its_own_is_not_signed(tmp_path: Path) -> None:
    _, plan, _ = GOOD["claim"]
    transfer = {
        "id": "t",
        "kind": "claim",
        "status": "awaiting_signature",
        "amount": "1",
        "currency": "USDC",
        "wallet": ADDRESS,
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "message": base64.b64encode(of(plan)).decode(),
    }
    asked = httpx.Response(201, json={"success": True, "data": transfer})
    voucher = VoucherMessage(LEASE, 5, "0" * 128, final=True)
    with pytest.raises(ConfigurationError, match="was not signed: it is not signed by"):
        wallet(tmp_path, [asked]).redeem(LEASE, voucher, threading.Event())
