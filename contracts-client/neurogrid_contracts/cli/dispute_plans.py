"""Quarrels: a party opens a dispute, the arbiter decides it."""

import hashlib
from pathlib import Path

from solders.pubkey import Pubkey

from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import ConfigAccount, EscrowState
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import FAILED, USAGE
from neurogrid_contracts.cli.market_acting import Actors, Plan
from neurogrid_contracts.cli.market_reading import FoundEscrow, OpenMarket
from neurogrid_contracts.slashing import Fault
from neurogrid_contracts.terminal.output import usdc, when

_EVIDENCE_BYTES = 32


async def open_dispute(market: OpenMarket, actors: Actors, *, address: Pubkey) -> Plan:
    """Freeze an escrow for the arbiter; puts the bond at stake."""
    found = await market.escrow(address)
    step = instructions.dispute(
        market.deployment,
        party=actors.authority,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
    )
    shown = found.shown() | {
        "possible_until": when(found.account.claim_until_unix_s),
        "bond": usdc(found.account.dispute_bond_micro_usdc),
    }
    return Plan("Open a dispute", [step], shown)


async def resolve(
    market: OpenMarket,
    actors: Actors,
    *,
    address: Pubkey,
    to_provider_micro_usdc: int,
    opener_was_right: bool,
) -> Plan:
    """Divide what a disputed escrow still holds, and close it."""
    found = await market.escrow(address)
    config = await market.config()
    arbiter = _require_arbiter(actors, config)
    _require_disputed(found)
    rest = found.account.remaining_micro_usdc
    if to_provider_micro_usdc > rest:
        raise CommandError(f"the escrow still holds {usdc(rest)}", USAGE)
    step = instructions.resolve(
        market.deployment,
        arbiter=arbiter,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        payout=market.deployment.token_account(found.payout_owner),
        treasury=config.treasury,
        rent_payer=found.account.rent_payer,
        to_provider_micro_usdc=to_provider_micro_usdc,
        opener_was_right=opener_was_right,
        members=actors.members,
    )
    bond_to = "its opener" if opener_was_right else "the other party"
    shown = found.shown() | {
        "to_provider": usdc(to_provider_micro_usdc),
        "of_that_fee": usdc(found.account.fee_micro_usdc(to_provider_micro_usdc)),
        "to_client": usdc(rest - to_provider_micro_usdc),
        "bond": f"{usdc(found.account.dispute_bond_micro_usdc)} to {bond_to}",
    }
    return Plan("Decide so", [step], shown)


async def slash(
    market: OpenMarket,
    actors: Actors,
    *,
    address: Pubkey,
    amount_micro_usdc: int,
    fault: str,
    evidence: str,
) -> Plan:
    """Compensate the client of a disputed escrow from the provider's stake; once, and capped.

    Args:
        fault: the name of one that can be proven.
        evidence: the file that proves it, or its SHA-256 in hex.
    """
    found = await market.escrow(address)
    arbiter = _require_arbiter(actors, await market.config())
    _require_disputed(found)
    if not found.account.client_complains:
        raise CommandError("the client has not complained: nothing can be slashed", FAILED)
    if found.account.slashed_micro_usdc:
        raise CommandError(
            f"WRONG_STATE: slashed already: {usdc(found.account.slashed_micro_usdc)}", FAILED
        )
    provider = await market.provider(found.provider_owner)
    stake = provider.staked_micro_usdc + provider.unbonding_micro_usdc
    cap = stake * found.account.slash_bps // instructions.market.BPS_ONE
    if amount_micro_usdc > cap:
        raise CommandError(f"OVER_LIMIT: this dispute may take at most {usdc(cap)}", USAGE)
    digest = _evidence(evidence)
    step = instructions.slash(
        market.deployment,
        arbiter=arbiter,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        amount_micro_usdc=amount_micro_usdc,
        fault=Fault[fault.upper().replace("-", "_")],
        evidence=digest,
        members=actors.members,
    )
    shown = found.shown() | {
        "from_stake": usdc(amount_micro_usdc),
        "cap": usdc(cap),
        "fault": fault,
        "evidence_sha256": digest.hex(),
    }
    return Plan("Slash", [step], shown)


def _evidence(text: str) -> bytes:
    """The SHA-256 of a file, or the one that was typed."""
    path = Path(text)
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).digest()
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != _EVIDENCE_BYTES:
        raise CommandError(f"{text!r} is neither a file nor a SHA-256 in hex", USAGE)
    return digest


def _require_arbiter(actors: Actors, config: ConfigAccount) -> Pubkey:
    """The market's arbiter, which signs itself, or through the members that were given."""
    if not actors.members:
        actors.require("the arbiter", config.arbiter)
    return config.arbiter


def _require_disputed(found: FoundEscrow) -> None:
    if found.account.state is not EscrowState.DISPUTED:
        raise CommandError(f"the escrow is {found.account.state.name.lower()}", FAILED)
