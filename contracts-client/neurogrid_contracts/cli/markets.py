"""Commands about a market: showing it, creating and pausing it, its terms and its administration."""

from typing import Any

import click

from neurogrid_contracts.cli import options
from neurogrid_contracts.cli.values import Address, Duration, Percent, Usdc


@click.group()
def market() -> None:
    """Show a market, create one, pause and resume it."""


@market.command("show")
@options.reading_market
def show(**given: Any) -> None:
    """Show the market's terms, and those that are announced."""
    from neurogrid_contracts.cli.market_reading import show_market

    options.look(show_market, given)


@market.command("init")
@click.option(
    "--program", "program_id", type=Address(), required=True, help="The deployed program."
)
@click.option("--mint", "usdc_mint", type=Address(), required=True, help="The cluster's USDC.")
@click.option(
    "--arbiter",
    type=Address(),
    required=True,
    help="Who decides disputes: a key, or an SPL Token multisig account.",
)
@click.option(
    "--treasury-owner", type=Address(), help="Whose USDC account gets the fees; the authority's."
)
@click.option("--fee", "fee_bps", type=Percent(), required=True, help="Of every payment.")
@click.option(
    "--slash-cap",
    "slash_bps",
    type=Percent(),
    required=True,
    help="The most of a provider's whole stake that one dispute may take.",
)
@click.option("--min-stake", "min_stake_micro_usdc", type=Usdc(), required=True)
@click.option("--dispute-bond", "dispute_bond_micro_usdc", type=Usdc(), default="0")
@click.option(
    "--unbonding-window",
    "unbonding_window_s",
    type=Duration(),
    required=True,
    help="Longer than the other two together; an escrow may last for the difference.",
)
@click.option("--grace-window", "grace_window_s", type=Duration(), required=True)
@click.option("--arbitration-window", "arbitration_window_s", type=Duration(), required=True)
@click.option(
    "--out",
    type=options.FILE,
    required=True,
    help="Write the file that names the market, for daemons and for the other commands.",
)
@options.spending
def init(**given: Any) -> None:
    """Create a market; the authority becomes its administrator."""
    from dataclasses import fields

    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.cli.market_plans import create
    from neurogrid_contracts.cli.spending import Spending
    from neurogrid_contracts.terminal.output import print_result

    common = {entry.name for entry in fields(Spending)}
    asked = Spending(**{name: value for name, value in given.items() if name in common})
    own = {name: value for name, value in given.items() if name not in common}
    result = run(lambda: create(asked, **own), as_json=asked.as_json)
    print_result(result, as_json=asked.as_json)


@market.command("pause")
@options.acting
def pause(**given: Any) -> None:
    """Stop new stakes, deposits and escrows; every way out stays open."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.pause, given)


@market.command("resume")
@options.acting
def resume(**given: Any) -> None:
    """Allow new stakes, deposits and escrows again."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.resume, given)


@click.group()
def terms() -> None:
    """Change a market's terms, after notice."""


@terms.command("propose")
@click.option("--fee", "fee_bps", type=Percent(), help="Of every payment.")
@click.option("--slash-cap", "slash_bps", type=Percent())
@click.option("--min-stake", "min_stake_micro_usdc", type=Usdc())
@click.option("--dispute-bond", "dispute_bond_micro_usdc", type=Usdc())
@click.option("--unbonding-window", "unbonding_window_s", type=Duration(), help="Can only grow.")
@click.option("--grace-window", "grace_window_s", type=Duration())
@click.option("--arbitration-window", "arbitration_window_s", type=Duration())
@click.option("--arbiter", type=Address())
@click.option("--treasury", type=Address(), help="USDC token account that receives fees.")
@options.acting
def propose_terms(**given: Any) -> None:
    """Announce other terms; what is not given stays as it is.

    They can be applied after today's unbonding window, which is long enough for everybody to leave
    before.
    """
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.propose_terms, given)


@terms.command("cancel")
@options.acting
def cancel_terms(**given: Any) -> None:
    """Take the announced terms back."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.cancel_terms, given)


@terms.command("apply")
@options.acting
def apply_terms(**given: Any) -> None:
    """Put the announced terms into force; anybody may, once their notice has passed."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.apply_terms, given)


@click.group()
def admin() -> None:
    """Hand a market's administration over, in two steps."""


@admin.command("propose")
@click.argument("new_admin", metavar="[ADDRESS]", type=Address(), required=False)
@click.option("--cancel", is_flag=True, help="Take the offer back.")
@options.acting
def propose_admin(**given: Any) -> None:
    """Offer the administration to another key, which has to accept."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.propose_admin, given)


@admin.command("accept")
@options.acting
def accept_admin(**given: Any) -> None:
    """Take the administration that was offered to the authority."""
    from neurogrid_contracts.cli import market_plans

    options.act(market_plans.accept_admin, given)
