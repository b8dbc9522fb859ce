"""What a market's administrator does: create it, pause it, change its terms, hand it over."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_contracts.cli.cluster import Cluster, confirm_spending, connected
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import FAILED, USAGE
from neurogrid_contracts.cli.market_acting import Actors, Plan
from neurogrid_contracts.cli.market_reading import OpenMarket
from neurogrid_contracts.cli.spending import Spending, send
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import MarketTerms
from neurogrid_contracts.terminal.output import duration, percent, print_fields, usdc, when
from neurogrid_wallet.transactions import ComputeBudget
from neurogrid_wallet.usdc import create_token_account


def terms_of(config: ConfigAccount) -> MarketTerms:
    """The terms in force."""
    return MarketTerms(
        fee_bps=config.fee_bps,
        slash_bps=config.slash_bps,
        min_stake_micro_usdc=config.min_stake_micro_usdc,
        unbonding_window_s=config.unbonding_window_s,
        grace_window_s=config.grace_window_s,
        arbitration_window_s=config.arbitration_window_s,
        dispute_bond_micro_usdc=config.dispute_bond_micro_usdc,
    )


def shown_terms(terms: MarketTerms) -> dict[str, str]:
    """Terms as people read them."""
    return {
        "fee": percent(terms.fee_bps),
        "slash_cap": percent(terms.slash_bps),
        "min_stake": usdc(terms.min_stake_micro_usdc),
        "dispute_bond": usdc(terms.dispute_bond_micro_usdc),
        "unbonding_window": duration(terms.unbonding_window_s),
        "grace_window": duration(terms.grace_window_s),
        "arbitration_window": duration(terms.arbitration_window_s),
    }


async def create(
    asked: Spending,
    *,
    program_id: Pubkey,
    usdc_mint: Pubkey,
    arbiter: Pubkey,
    treasury_owner: Pubkey | None,
    out: Path,
    **numbers: int,
) -> dict[str, Any]:
    """Create a market, and write the file that names it.

    Args:
        treasury_owner: whose USDC account gets the fees; the administrator's, if None.
        out: the file, for daemons and for the other commands here.
        numbers: the terms.
    """
    try:
        terms = MarketTerms(**numbers)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    payer, admin = asked.keys()
    deployment = Deployment(program_id, usdc_mint, Pubkey(admin.public_key))
    owner = treasury_owner or deployment.admin
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        if await rpc.get_account(deployment.config) is not None:
            raise CommandError(f"this administrator has a market already: {deployment.config}")
        named = {"rpc_url": rpc.url, **deployment.to_json(), "genesis_hash": cluster.genesis_hash}
        shown = {
            "market": str(deployment.config),
            "cluster": cluster.name,
            "program": str(program_id),
            "administrator": admin.address,
            "arbiter": str(arbiter),
            "treasury": str(deployment.token_account(owner)),
            **shown_terms(terms),
        }
        if not asked.as_json:
            print_fields(shown.items(), err=True)
        confirm_spending(cluster, "Create this market", yes=asked.yes, as_json=asked.as_json)
        # Before it exists: an interrupted command must not leave a market without its file.
        _write_market_file(out, named)
        steps = [
            create_token_account(Pubkey(payer.public_key), owner, usdc_mint),
            instructions.init_config(
                deployment,
                treasury=deployment.token_account(owner),
                arbiter=arbiter,
                domain=_domain(cluster, deployment),
                terms=terms,
            ),
        ]
        sent = await send(
            rpc,
            cluster,
            steps,
            state_folder=asked.state_folder,
            payer=payer,
            keys=[admin],
            budget=ComputeBudget(unit_price_micro_lamports=asked.unit_price),
        )
    return {**shown, "file": str(out), "signature": sent.signature}


def _write_market_file(path: Path, named: dict[str, str]) -> None:
    """Write the file, unless it is there and says the same."""
    text = json.dumps(named, indent=2) + "\n"
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        if path.read_text() != text:
            raise CommandError(f"{path} exists and is not overwritten") from None


def _domain(cluster: Cluster, deployment: Deployment) -> int:
    """A number that no other cluster and no other market has: vouchers of one are worthless on
    every other. 4 bytes, because receipts hold it as a number that JavaScript can read."""
    name = cluster.genesis_hash.encode() + bytes(deployment.config)
    return int.from_bytes(hashlib.sha256(name).digest()[:4])


async def pause(market: OpenMarket, actors: Actors) -> Plan:
    """Stop new stakes, deposits and escrows. Every way out stays open."""
    return await _set_paused(market, actors, paused=True)


async def resume(market: OpenMarket, actors: Actors) -> Plan:
    """Allow them again."""
    return await _set_paused(market, actors, paused=False)


async def _set_paused(market: OpenMarket, actors: Actors, *, paused: bool) -> Plan:
    config = await market.config()
    actors.require("the administrator", config.admin)
    step = instructions.set_paused(market.deployment, admin=config.admin, paused=paused)
    shown = {"market": str(market.deployment.config), "paused": "yes" if paused else "no"}
    question = "Pause the market" if paused else "Resume the market"
    return Plan(question, [step], shown, repeatable=True)


async def propose_terms(
    market: OpenMarket,
    actors: Actors,
    *,
    arbiter: Pubkey | None,
    treasury: Pubkey | None,
    **numbers: int | None,
) -> Plan:
    """Announce other terms. What was not said stays as it is in force today."""
    config = await market.config()
    actors.require("the administrator", config.admin)
    said = {name: number for name, number in numbers.items() if number is not None}
    try:
        terms = replace(terms_of(config), **said)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    if terms.unbonding_window_s < config.unbonding_window_s:
        raise CommandError(
            "the unbonding window can only grow: stake that backs an escrow could leave before"
            " its dispute ends",
            USAGE,
        )
    step = instructions.propose_terms(
        market.deployment,
        admin=config.admin,
        treasury=treasury or config.treasury,
        arbiter=arbiter or config.arbiter,
        terms=terms,
    )
    shown = {
        "market": str(market.deployment.config),
        "notice": duration(config.unbonding_window_s),
        "arbiter": str(arbiter or config.arbiter),
        "treasury": str(treasury or config.treasury),
        **shown_terms(terms),
    }
    return Plan("Announce these terms", [step], shown, repeatable=True)


async def cancel_terms(market: OpenMarket, actors: Actors) -> Plan:
    """Take an announcement back."""
    config = await market.config()
    actors.require("the administrator", config.admin)
    _require_announced(config)
    step = instructions.cancel_terms(market.deployment, admin=config.admin)
    return Plan("Cancel the announced terms", [step], {"market": str(market.deployment.config)})


async def apply_terms(market: OpenMarket, _: Actors) -> Plan:
    """Put announced terms into force; anybody may, once their notice has passed."""
    config = await market.config()
    _require_announced(config)
    shown = {
        "market": str(market.deployment.config),
        "announced_from": when(config.terms_from_unix_s),
    }
    return Plan("Apply the announced terms", [instructions.apply_terms(market.deployment)], shown)


def _require_announced(config: ConfigAccount) -> None:
    if config.terms_from_unix_s == 0:
        raise CommandError("no terms are announced", FAILED)


async def propose_admin(
    market: OpenMarket, actors: Actors, *, new_admin: Pubkey | None, cancel: bool
) -> Plan:
    """Offer the administration to another key, or take the offer back."""
    if (new_admin is None) != cancel:
        raise CommandError("give the new administrator's ADDRESS, or --cancel", USAGE)
    config = await market.config()
    actors.require("the administrator", config.admin)
    step = instructions.propose_admin(market.deployment, admin=config.admin, new_admin=new_admin)
    shown = {
        "market": str(market.deployment.config),
        "administrator": str(config.admin),
        "offered_to": "nobody" if new_admin is None else str(new_admin),
    }
    question = "Take the offer back" if cancel else "Offer the administration"
    return Plan(question, [step], shown, repeatable=True)


async def accept_admin(market: OpenMarket, actors: Actors) -> Plan:
    """Take the offered administration."""
    config = await market.config()
    if config.pending_admin is None:
        raise CommandError("the administration is offered to nobody", FAILED)
    actors.require("the administrator to be", config.pending_admin)
    step = instructions.accept_admin(market.deployment, new_admin=config.pending_admin)
    shown = {
        "market": str(market.deployment.config),
        "administrator": str(config.pending_admin),
    }
    return Plan("Take over the administration", [step], shown)
