from pathlib import Path
from typing import cast

import pytest
import trio

from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.lease.executor import LeaseRunner
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from neurogrid_node.machine.proofs import Proof
from neurogrid_node.market.intake import Word
from neurogrid_node.market.ledger_check import Mended
from neurogrid_node.market.opening import Opening
from neurogrid_node.market.provider import Provider
from neurogrid_node.market.reservations import Reservations
from neurogrid_node.money.earnings_check import EarningsCheck
from neurogrid_node.money.staking import Staking
from neurogrid_node.status import read_status
from neurogrid_node.status_file import show_status
from node.fakes import FakeLink
from node.market import COORDINATOR, GPU, NODE, OFFER, POLICY, TOTAL

L4 = GpuState(0, GPU.uuid, GPU.model, GPU.memory_bytes, 0, "8.9", 0, 40, 70_000, ())
MACHINE = Inventory(4, 8 << 30, 100 << 30, gpus=(L4,))


async def shown(directory: Path, journal: Journal) -> None:
    """Run the loop for a moment."""

    def start_runner(lease: object, *, resumed: bool = False) -> LeaseRunner:
        raise AssertionError("no lease is awarded here")

    async def image_bytes(reference: str) -> int | None:
        return None

    book = Reservations(TOTAL)
    thread = JournalThread(journal)
    provider = Provider(
        OFFER,
        policy=POLICY,
        max_unpaid_ms=1,
        reservations=book,
        journal=thread,
        image_bytes=image_bytes,
        start_runner=start_runner,
        now_ms=lambda: 0,
    )
    provider.links = {COORDINATOR: FakeLink()}
    staking = cast(Staking, type("Staked", (), {"staked_micro_usdc": 7, "problem": "too little"}))
    check = cast(EarningsCheck, type("Compared", (), {"problems": {"lease_9": "paid nothing"}}))
    with trio.move_on_after(1.2):
        await show_status(
            directory,
            provider,
            book,
            staking,
            Opening(provider, thread, Word(), trio.Event(), lambda: 0),
            thread,
            check,
            lambda: {COORDINATOR: "dht"},
            Monitor(None, MACHINE, directory, lambda: 0, frozenset),
            lambda: ("/ip4/192.0.2.7/tcp/4002",),
            lambda: (Proof("gangs", 0, "GANGS_UNPROVED", "no tun", 1, 2),),
            [Mended(1, "files_without_lease", "lease_1")],
            lambda lease_id: None,
        )


async def test_the_daemon_shows_what_it_is_and_has(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.save_earning("lease_1", 1, 25, "signature")
    await shown(tmp_path, journal)
    journal.close()
    document = read_status(tmp_path)
    assert document is not None
    assert (document["peer_id"], document["accepting"]) == (NODE, False)
    assert (document["staked_micro_usdc"], document["earned_micro_usdc"]) == (7, 25)
    assert document["stake_problem"] == "too little"
    assert (document["no_new_work"], document["word"]["mode"]) == ("no stake in place", "open")  # type: ignore[index]  # JSON
    assert document["inventory"]["gpus"][0]["temperature_celsius"] == 40  # type: ignore[index]  # JSON
    assert document["earnings_differ"] == ["lease_9"]
    assert document["cpu_millis_free"] == document["cpu_millis_total"] == 4000
    assert document["gpus"] == ["NVIDIA L4"]
    assert document["reached_at"] == ["/ip4/192.0.2.7/tcp/4002"]
    assert document["coordinators"] == [
        {"peer_id": COORDINATOR, "connected": True, "found_by": "dht"}
    ]


async def test_a_disk_that_refuses_is_logged_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal.db")
    await shown(tmp_path / "missing", journal)
    journal.close()
    assert len([record for record in caplog.records if "status file" in record.message]) == 1
