"""What clients and providers do with their escrows and accounts."""

from solders.pubkey import Pubkey

from neurogrid_contracts import instructions
from neurogrid_contracts.accounts import EscrowState
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import AUTHORITY, FAILED
from neurogrid_contracts.cli.market_acting import Actors, Plan
from neurogrid_contracts.cli.market_reading import FoundEscrow, OpenMarket
from neurogrid_contracts.terminal.output import duration, usdc, when


async def accept(market: OpenMarket, actors: Actors, *, address: Pubkey) -> Plan:
    """The provider takes an offered escrow."""
    found = await market.escrow(address)
    actors.require("the escrow's provider", found.provider_owner)
    _require_state(found, EscrowState.OFFERED)
    step = instructions.accept_escrow(
        market.deployment,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
    )
    return Plan("Accept the escrow", [step], found.shown())


async def cancel(market: OpenMarket, actors: Actors, *, address: Pubkey) -> Plan:
    """The client's side takes back what it has only offered."""
    found = await market.escrow(address)
    await _require_client_side(market, actors, found)
    _require_state(found, EscrowState.OFFERED)
    step = instructions.cancel_escrow(
        market.deployment,
        authority=actors.authority,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        rent_payer=found.account.rent_payer,
    )
    return Plan("Cancel the offer", [step], found.shown())


async def relinquish(market: OpenMarket, actors: Actors, *, address: Pubkey) -> Plan:
    """The provider gives up what an escrow still holds, or declines an offer."""
    found = await market.escrow(address)
    actors.require("the escrow's provider", found.provider_owner)
    if found.account.state is EscrowState.DISPUTED:
        raise CommandError("in a dispute the client has to sign too, or the arbiter decides")
    step = instructions.relinquish(
        market.deployment,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        rent_payer=found.account.rent_payer,
    )
    shown = found.shown() | {"returned_to_client": usdc(found.account.remaining_micro_usdc)}
    return Plan("Give the rest up", [step], shown)


async def refund(market: OpenMarket, _: Actors, *, address: Pubkey) -> Plan:
    """Return what an expired escrow still holds to its client; anybody may."""
    found = await market.escrow(address)
    step = instructions.refund(
        market.deployment,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        rent_payer=found.account.rent_payer,
    )
    shown = found.shown() | {
        "possible_after": when(found.account.refund_after_unix_s),
        "returned_to_client": usdc(found.account.remaining_micro_usdc),
    }
    return Plan("Refund the escrow", [step], shown)


async def top_up(
    market: OpenMarket, actors: Actors, *, address: Pubkey, amount_micro_usdc: int
) -> Plan:
    """The client's side adds to what an escrow may pay."""
    found = await market.escrow(address)
    await _require_client_side(market, actors, found)
    step = instructions.top_up(
        market.deployment,
        authority=actors.authority,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        amount_micro_usdc=amount_micro_usdc,
    )
    shown = found.shown() | {
        "maximum": usdc(found.account.max_micro_usdc + amount_micro_usdc),
        "added": usdc(amount_micro_usdc),
    }
    return Plan("Add to the escrow", [step], shown)


async def extend(
    market: OpenMarket, actors: Actors, *, address: Pubkey, deadline_unix_s: int
) -> Plan:
    """The client's side moves an escrow's deadline later."""
    found = await market.escrow(address)
    await _require_client_side(market, actors, found)
    if deadline_unix_s <= found.account.deadline_unix_s:
        raise CommandError(
            f"the deadline is {when(found.account.deadline_unix_s)}, and can only move later"
        )
    step = instructions.extend(
        market.deployment,
        authority=actors.authority,
        client_owner=found.client_owner,
        provider_owner=found.provider_owner,
        job_id=found.account.job_id,
        deadline_unix_s=deadline_unix_s,
    )
    return Plan("Extend the escrow", [step], found.shown() | {"deadline": when(deadline_unix_s)})


async def rebond(market: OpenMarket, actors: Actors, *, amount_micro_usdc: int) -> Plan:
    """Let stake that was asked back count as stake again."""
    provider = await market.provider(actors.authority)
    if amount_micro_usdc > provider.unbonding_micro_usdc:
        raise CommandError(f"only {usdc(provider.unbonding_micro_usdc)} are unbonding")
    step = instructions.rebond(
        market.deployment, owner=actors.authority, amount_micro_usdc=amount_micro_usdc
    )
    shown = {
        "provider": str(market.deployment.provider(actors.authority)),
        "staked": usdc(provider.staked_micro_usdc + amount_micro_usdc),
        "unbonding": usdc(provider.unbonding_micro_usdc - amount_micro_usdc),
    }
    return Plan("Stake it again", [step], shown)


async def close_provider(market: OpenMarket, actors: Actors) -> Plan:
    """Close an empty provider account; its rent goes to the owner."""
    provider = await market.provider(actors.authority)
    held = provider.staked_micro_usdc + provider.unbonding_micro_usdc
    if held or provider.open_escrows:
        window = duration((await market.config()).unbonding_window_s)
        raise CommandError(
            f"the provider holds {usdc(held)} and has {provider.open_escrows} open escrows",
            hint=f"Unstake, wait for {window}, withdraw, and let its escrows end.",
        )
    step = instructions.close_provider(
        market.deployment,
        owner=actors.authority,
        destination=market.deployment.token_account(actors.authority),
    )
    shown = {"provider": str(market.deployment.provider(actors.authority))}
    return Plan("Close the provider account", [step], shown)


async def close_client(market: OpenMarket, actors: Actors) -> Plan:
    """Close an empty client account; its rent goes to the owner."""
    client = await market.client(actors.authority)
    if client.balance_micro_usdc or client.open_escrows:
        raise CommandError(
            f"the client has {usdc(client.balance_micro_usdc)} and {client.open_escrows} open"
            " escrows",
            hint="Let its escrows end, and withdraw.",
        )
    step = instructions.close_client(
        market.deployment,
        owner=actors.authority,
        destination=market.deployment.token_account(actors.authority),
    )
    shown = {"client": str(market.deployment.client(actors.authority))}
    return Plan("Close the client account", [step], shown)


async def _require_client_side(market: OpenMarket, actors: Actors, found: FoundEscrow) -> None:
    """The client's owner, or its operator for an escrow that an operator opened.

    Raises:
        CommandError: the authority is neither.
    """
    client = await market.client(found.client_owner)
    allowed = {client.owner}
    if found.account.opened_by_operator and client.operator is not None:
        allowed.add(client.operator)
    if actors.authority not in allowed:
        names = " or ".join(sorted(map(str, allowed)))
        raise CommandError(
            f"only {names} may do this, and the authority given is {actors.authority}", AUTHORITY
        )


def _require_state(found: FoundEscrow, state: EscrowState) -> None:
    if found.account.state is not state:
        raise CommandError(f"the escrow is {found.account.state.name.lower()}", FAILED)
