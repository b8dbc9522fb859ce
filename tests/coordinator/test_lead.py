"""Several coordinators on one PostgreSQL server: one leads, and its payments are the next one's too."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from coordinator.on_asyncio import on_asyncio
from coordinator.postgresql_server import PostgresqlServer
from neurogrid_coordinator.store import accounts, migrations, postgresql_schema
from neurogrid_coordinator.store.away import LeadLost
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.lead import Lead
from neurogrid_coordinator.store.places import Server
from neurogrid_wallet.chain import Commitment, SignatureStatus
from neurogrid_wallet.errors import OutboxFull, PaymentConflict
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.payment import Landed, PaymentState, SignedTransaction, advance
from neurogrid_wallet.payment_store import PaymentStore
from neurogrid_wallet.transactions import ComputeBudget

PAYER = Pubkey(b"p" * 32)
INTENT = Intent(PAYER, (Instruction(PAYER, b"data", []),), (), ComputeBudget())
OTHER = Intent(PAYER, (Instruction(PAYER, b"other", []),), (), ComputeBudget())


@pytest.fixture
def server(postgresql: PostgresqlServer) -> Server:
    """A database with a coordinator's tables."""
    place = postgresql.new()
    with postgresql_schema.alone(place) as conn:
        migrations.apply(conn)
    return place


@pytest.fixture
def leads(server: Server) -> Iterator[Lead]:
    """One that leads."""
    taken = led(server)
    yield taken
    taken.close()


def led(server: Server) -> Lead:
    deadline = time.monotonic() + 60
    # A session that is told to end does so in a moment.
    while (taken := Lead.take(server)) is None:
        assert time.monotonic() < deadline, "somebody leads"
    return taken


def sign(intent: Intent, dead_attempts: int, variation: int) -> SignedTransaction:
    """Hardly any choice: as if several payments of one thing began at the same number."""
    return SignedTransaction(b"raw %d" % (variation % 4), f"signature {variation % 4}", 150, 7)


def end_session(server: Server, of: Lead) -> None:
    """As a server does that is restarted."""
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("select pg_terminate_backend(%s)", (of._raw.info.backend_pid,))


def test_one_leads_and_the_next_one_when_it_is_gone(server: Server) -> None:
    first = led(server)
    assert Lead.take(server) is None
    end_session(server, first)
    second = led(server)
    assert (first.term, second.term) == (1, 2)
    assert Lead.take(server) is None
    first.close()
    second.close()


def test_whoever_was_replaced_can_store_no_payment(server: Server, leads: Lead) -> None:
    store = PaymentStore(leads)
    store.add("one", INTENT, 10)
    end_session(server, leads)
    second = led(server)
    with pytest.raises(LeadLost, match="led on this database meanwhile"):
        store.sign_new(1, sign)
    second.close()
    with pytest.raises(LeadLost, match="led on this database meanwhile"):
        store.sign_new(1, sign)


@on_asyncio
async def test_whoever_was_replaced_writes_nothing(server: Server) -> None:
    async with Database.open(server) as first, Database.open(server) as other:
        lead = led(server)
        await first.fence(lead.term)
        account = await first.write(accounts.create, "early", "wallet", 1)
        end_session(server, lead)
        second = led(server)
        with pytest.raises(LeadLost):
            await first.write(accounts.create, "late", "wallet 2", 1)
        # Who only serves clients writes whoever leads, and who leads now does.
        await other.write(accounts.create, "a client's", "wallet 3", 1)
        await other.fence(second.term)
        await other.write(accounts.create, "the next one's", "wallet 4", 1)
        assert await first.read(accounts.get, account.id) == account
        lead.close()
        second.close()


def test_one_that_is_silent_for_long_leads_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurogrid_coordinator.store.lead._SILENT", "100ms")
    first = led(server)
    store = PaymentStore(first)
    assert store.count_undecided() == 0
    # The server's session ends, as that of a process does which was stopped (SIGSTOP).
    second = led(server)
    assert (first.term, second.term) == (1, 2)
    with pytest.raises(LeadLost):
        store.count_undecided()
    second.close()


def test_a_session_that_was_lost_is_taken_up_again_while_nobody_else_has_led(
    server: Server, leads: Lead
) -> None:
    store = PaymentStore(leads)
    store.add("one", INTENT, 10)
    for number in range(1, 3):
        end_session(server, leads)
        assert store.count_undecided() == number
        end_session(server, leads)
        store.add(f"next {number}", INTENT, 10)
    assert leads.term == 1
    assert Lead.take(server) is None


def test_a_session_that_is_lost_in_a_transaction_ends_the_lead_and_signs_nothing(
    server: Server, leads: Lead
) -> None:
    store = PaymentStore(leads)
    store.add("one", INTENT, 10)

    def dying(intent: Intent, dead_attempts: int, variation: int) -> SignedTransaction:
        end_session(server, leads)
        return sign(intent, dead_attempts, variation)

    with pytest.raises(LeadLost):
        store.sign_new(1, dying)
    payment = store.get("one")
    assert payment is not None
    assert payment.state is PaymentState.NEW


def test_what_was_signed_is_sent_by_the_next_one_as_it_is(server: Server, leads: Lead) -> None:
    store = PaymentStore(leads)
    for number in range(3):
        store.add(f"id {number}", INTENT, 10, two_endpoints=number == 1)
    signed, _ = store.sign_new(3, sign)
    assert len({payment.signature for payment in signed}) == 3, "no signature is taken twice"
    leads.close()
    again = led(server)
    other = PaymentStore(again)
    assert other.in_flight() == signed
    assert other.add("id 0", INTENT, 10) == signed[0]
    with pytest.raises(PaymentConflict):
        other.add("id 0", OTHER, 10)
    with pytest.raises(OutboxFull):
        other.add("id 9", INTENT, 3)
    status = SignatureStatus(9, Commitment.FINALIZED, None)
    landed = advance(signed[0], Landed(signed[0].signature or "", status))
    other.save([landed])
    kept = other.get("id 0")
    assert kept is not None
    assert (kept.state, kept.landed_slot) == (landed.state, 9)
    assert other.undecided_ids() == ["id 1", "id 2"]
    assert not other.forget("id 1")
    assert other.forget_decided(2**40) == 1
    assert other.get("id 0") is None
    other.close()
