"""Commands about escrows, providers, clients and disputes."""

from typing import Any

import click

from neurogrid_contracts.cli import options
from neurogrid_contracts.cli.values import Address, Moment, ProvenFaultName, Usdc

_escrow = click.argument("address", metavar="ESCROW", type=Address())


@click.group()
def escrow() -> None:
    """Show an escrow, and change it as its client or provider."""


@escrow.command("show")
@click.argument("address", metavar="[ADDRESS]", type=Address(), required=False)
@click.option("--lease", metavar="ID", help="The lease it pays; with --client.")
@click.option("--client", "client_owner", type=Address(), help="The client's wallet.")
@options.reading_market
def show_escrow(**given: Any) -> None:
    """Show an escrow by its address, or by its lease and client."""
    from neurogrid_contracts.cli.market_reading import show_escrow

    options.look(show_escrow, given)


@escrow.command("accept")
@_escrow
@options.acting
def accept(**given: Any) -> None:
    """As its provider, accept an offered escrow."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.accept, given)


@escrow.command("cancel")
@_escrow
@options.acting
def cancel(**given: Any) -> None:
    """As its client, take an offer back before the provider accepts."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.cancel, given)


@escrow.command("relinquish")
@_escrow
@options.acting
def relinquish(**given: Any) -> None:
    """As its provider, give up the rest, or decline an offer."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.relinquish, given)


@escrow.command("refund")
@_escrow
@options.acting
def refund(**given: Any) -> None:
    """Return what an expired escrow still holds to its client; anybody may."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.refund, given)


@escrow.command("top-up")
@_escrow
@click.option("--amount", "amount_micro_usdc", type=Usdc(), required=True)
@options.acting
def top_up(**given: Any) -> None:
    """As its client, add to what an escrow may pay."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.top_up, given)


@escrow.command("extend")
@_escrow
@click.option(
    "--deadline",
    "deadline_unix_s",
    type=Moment(),
    required=True,
    help="Such as 2027-01-31T12:00; in your own time zone, unless it names one.",
)
@options.acting
def extend(**given: Any) -> None:
    """As its client, move an escrow's deadline later."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.extend, given)


@click.group()
def provider() -> None:
    """Show a provider; stake again, or close the account."""


@provider.command("show")
@click.argument("owner", metavar="OWNER", type=Address())
@options.reading_market
def show_provider(**given: Any) -> None:
    """Show the provider account of a wallet."""
    from neurogrid_contracts.cli.market_reading import show_provider

    options.look(show_provider, given)


@provider.command("rebond")
@click.option("--amount", "amount_micro_usdc", type=Usdc(), required=True)
@options.acting
def rebond(**given: Any) -> None:
    """Let stake that was asked back count as stake again."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.rebond, given)


@provider.command("close")
@options.acting
def close_provider(**given: Any) -> None:
    """Close the authority's empty provider account; the rent comes back."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.close_provider, given)


@click.group()
def client() -> None:
    """Show a client, or close the account."""


@client.command("show")
@click.argument("owner", metavar="OWNER", type=Address())
@options.reading_market
def show_client(**given: Any) -> None:
    """Show the client account of a wallet."""
    from neurogrid_contracts.cli.market_reading import show_client

    options.look(show_client, given)


@client.command("close")
@options.acting
def close_client(**given: Any) -> None:
    """Close the authority's empty client account; the rent comes back."""
    from neurogrid_contracts.cli import party_plans

    options.act(party_plans.close_client, given)


@click.group()
def dispute() -> None:
    """Open a dispute as a party; decide it as the arbiter."""


@dispute.command("open")
@_escrow
@options.acting
def open_dispute(**given: Any) -> None:
    """Freeze an escrow for the arbiter, and put the bond at stake.

    The authority is the client's owner, the operator that opened the escrow, or the provider's owner.
    """
    from neurogrid_contracts.cli import dispute_plans

    options.act(dispute_plans.open_dispute, given)


@dispute.command("resolve")
@_escrow
@click.option(
    "--to-provider",
    "to_provider_micro_usdc",
    type=Usdc(),
    required=True,
    help="Of what the escrow still holds; the client gets the rest.",
)
@click.option(
    "--opener-was-right/--opener-was-wrong",
    default=None,
    required=True,
    help="Who opened the dispute gets the bond back, or the other party gets it.",
)
@options.signers
@options.acting
def resolve(**given: Any) -> None:
    """As the arbiter, divide a disputed escrow and close it."""
    from neurogrid_contracts.cli import dispute_plans

    options.act(dispute_plans.resolve, given)


@dispute.command("slash")
@_escrow
@click.option("--amount", "amount_micro_usdc", type=Usdc(), required=True)
@click.option("--fault", type=ProvenFaultName(), required=True, help="What was proven.")
@click.option(
    "--evidence",
    metavar="FILE|SHA256",
    required=True,
    help="What proves it; its hash is logged on the chain.",
)
@options.signers
@options.acting
def slash(**given: Any) -> None:
    """As the arbiter, compensate the client from the provider's stake.

    Only for a proven fault, within the escrow's cap, once per dispute, before resolve.
    """
    from neurogrid_contracts.cli import dispute_plans

    options.act(dispute_plans.slash, given)
