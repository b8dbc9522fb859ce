"""The coordinator's chain on the real program, in a local ledger of its own process."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey

from coordinator.chain_parties import DAY_S, GRACE_S, USDC, market, pubkey
from coordinator.on_asyncio import on_asyncio
from neurogrid_contracts.instructions import MarketTerms, propose_terms, relinquish
from neurogrid_coordinator.money.chain import EscrowRefused, EscrowTerms
from neurogrid_coordinator.money.client_funds import FundsReader
from neurogrid_coordinator.money.market_terms import load_terms
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.rpc import Account, Rpc
from wallet.fake_rpc import serve


@on_asyncio
async def test_an_escrow_opens_once_and_locks_the_clients_money(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain, client = parties.chain, parties.client.address
        before = await chain.funds.get(client)
        assert (before.balance_micro_usdc, before.locked_micro_usdc) == (20 * USDC, 0)
        assert before.operator_limit_micro_usdc == 10 * USDC
        assert before.wallet_micro_usdc == 80 * USDC

        first, again = await asyncio.gather(
            chain.open(parties.terms("lease_1")), chain.open(parties.terms("lease_1"))
        )
        assert first == again == await chain.open(parties.terms("lease_1"))
        assert first.address == chain.escrow_address(client, "lease_1")
        escrow = await chain.escrow(first.address)
        assert escrow is not None
        assert (escrow.max_micro_usdc, escrow.sequence) == (2 * USDC, first.sequence)
        after = await chain.funds.get(client)
        assert after.locked_micro_usdc == 2 * USDC
        assert after.operator_limit_micro_usdc == 8 * USDC


@on_asyncio
async def test_stakes_are_read_and_what_is_no_wallet_has_none(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        staked, client = parties.provider.address, parties.client.address
        before = await parties.chain.stakes([staked, client, "1" * 44])
        assert before == {staked: 0, client: 0, "1" * 44: 0}
        await parties.stake()
        after = await parties.chain.stakes([staked])
        assert after[staked] > 0


@on_asyncio
async def test_a_large_escrow_waits_while_two_endpoints_disagree_and_says_so(
    ledger: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("neurogrid_coordinator.money.chain._CONFIRM_S", 0.5)
    lies = [True]

    def second(method: str, params: list[Any]) -> Any:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        result = httpx.post(ledger["rpc_url"], json=question, trust_env=False).json()["result"]
        if lies and method == "getSignatureStatuses":
            for status in filter(None, result["value"]):
                status["err"] = {"InstructionError": [1, {"Custom": 1}]}
        return result

    async with (
        serve(second) as second_rpc_url,
        market(
            ledger, tmp_path, second_rpc_url=second_rpc_url, two_endpoints_from_usdc="2"
        ) as parties,
    ):
        await parties.stake()
        await parties.chain.open(parties.terms("small", 2 * USDC - 1))
        opening = asyncio.create_task(parties.chain.open(parties.terms("large", 2 * USDC)))
        said = re.compile(r"open:large: still confirmed .* endpoints disagree: success .* Custom 1")
        while not said.search(caplog.text):  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.05)
        assert not opening.done()
        lies.clear()
        opened = await opening
        assert await parties.chain.escrow(opened.address) is not None


@on_asyncio
async def test_a_refusal_says_whose_it_is(ledger: dict[str, Any], tmp_path: Path) -> None:
    async with market(ledger, tmp_path) as parties:
        chain = parties.chain

        async def refusal(terms: EscrowTerms) -> EscrowRefused:
            with pytest.raises(EscrowRefused) as caught:
                await chain.open(terms)
            return caught.value

        unstaked = await refusal(parties.terms("lease_1"))
        assert (unstaked.of_client, unstaked.of_node) == (False, True)
        assert "staked 0.00 USDC" in str(unstaked)
        await parties.stake()

        poor = await refusal(parties.terms("lease_2", max_micro_usdc=11 * USDC))
        assert (poor.of_client, poor.of_node) == (True, False)
        assert "11.00 USDC" in str(poor)

        long = await refusal(replace(parties.terms("lease_3"), timeout_s=11 * DAY_S))
        assert long.of_client

        nobody = replace(parties.terms("lease_4"), client=parties.session.address)
        assert "deposited nothing" in str(await refusal(nobody))

        await parties.allow(10 * USDC, operator=parties.admin)
        dismissed = await refusal(parties.terms("lease_5"))
        assert dismissed.of_client
        assert parties.operator.address in str(dismissed)
        chain.funds.changed(parties.client.address)
        assert (await chain.funds.get(parties.client.address)).operator_limit_micro_usdc == 0


@on_asyncio
async def test_what_a_closed_escrow_paid_is_read_from_its_transactions(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain = parties.chain
        redeemed = await chain.open(parties.terms("lease_1"))
        given_up = await chain.open(parties.terms("lease_2"))
        assert await chain.closing(redeemed.address) is None

        by = await parties.claim("lease_1", redeemed, 1_500_000)
        assert await chain.escrow(redeemed.address) is None
        closing = await chain.closing(redeemed.address)
        assert closing is not None
        assert (closing.transaction, closing.paid_micro_usdc) == (by, 1_500_000)

        by = await parties.pay(
            parties.provider,
            relinquish(
                parties.deployment,
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id("lease_2"),
                rent_payer=pubkey(parties.operator),
            ),
        )
        closing = await chain.closing(given_up.address)
        assert closing is not None
        assert (closing.transaction, closing.paid_micro_usdc) == (by, 0)


@on_asyncio
async def test_a_lost_nodes_escrow_is_released_then_refunded(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain, client, provider = parties.chain, parties.client.address, parties.provider.address
        opened = await chain.open(parties.terms("lease_1"))
        escrow = await chain.escrow(opened.address)
        assert escrow is not None
        assert escrow.claim_until_unix_s > time.time() + 3600

        for _ in range(2):
            await chain.take_back("lease_1", client, provider)
            challenged = await chain.escrow(opened.address)
            assert challenged is not None
            assert challenged.claim_until_unix_s < escrow.claim_until_unix_s
        key = ledger["control_key"]
        await parties.rpc.call("neurogrid_warp", [{"key": key, "seconds": GRACE_S + 5}])
        await chain.take_back("lease_1", client, provider)
        await chain.take_back("lease_1", client, provider)
        assert await chain.escrow(opened.address) is None
        closing = await chain.closing(opened.address)
        assert closing is not None
        assert closing.paid_micro_usdc == 0
        funds = await chain.funds.get(client)
        assert (funds.balance_micro_usdc, funds.locked_micro_usdc) == (20 * USDC, 0)


class Line:
    """An RPC endpoint that can be cut off; has what `FundsReader` uses."""

    def __init__(self, rpc: Rpc) -> None:
        self.is_cut = False
        self._rpc = rpc

    async def get_accounts(self, addresses: Sequence[Pubkey]) -> list[Account | None]:
        if self.is_cut:
            raise RpcUnavailable("getMultipleAccounts", "cut off")
        return await self._rpc.get_accounts(addresses)


@on_asyncio
async def test_terms_and_funds_outlive_a_chain_that_is_away(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        async with Rpc("http://127.0.0.1:1") as nowhere:
            cached = tmp_path / "market.terms"
            terms = await load_terms(nowhere, parties.deployment, cached)
            assert terms == parties.chain.terms
            with pytest.raises(RpcUnavailable):
                await load_terms(nowhere, parties.deployment, tmp_path / "none")

        line: Any = Line(parties.rpc)
        funds = FundsReader(line, parties.deployment, pubkey(parties.operator))
        known = await funds.get(parties.client.address)
        assert known.balance_micro_usdc == 20 * USDC
        line.is_cut = True
        funds.changed(parties.client.address)
        assert await funds.get(parties.client.address) == known
        with pytest.raises(RpcUnavailable):
            await funds.get(parties.provider.address)


@on_asyncio
async def test_terms_are_read_again_where_they_matter(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    """Or a release would go on naming a treasury that the market has left."""
    async with market(ledger, tmp_path) as parties:
        chain, admin = parties.chain, pubkey(parties.admin)
        assert chain.terms.terms_from_unix_s == 0
        terms = MarketTerms(
            fee_bps=0,
            slash_bps=0,
            min_stake_micro_usdc=0,
            unbonding_window_s=chain.terms.unbonding_window_s,
            grace_window_s=1,
            arbitration_window_s=1,
        )
        await parties.pay(
            parties.admin,
            propose_terms(
                chain.deployment,
                admin=admin,
                treasury=chain.terms.treasury,
                arbiter=admin,
                terms=terms,
            ),
        )
        await chain.take_back("no lease", parties.client.address, parties.provider.address)
        assert chain.terms.terms_from_unix_s > 0
