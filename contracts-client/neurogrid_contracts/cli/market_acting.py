"""One instruction of a market, from the command line to the chain."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.cli.cluster import confirm_spending
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import AUTHORITY
from neurogrid_contracts.cli.market_reading import market_at
from neurogrid_contracts.cli.spending import Spending, send
from neurogrid_contracts.terminal.keys import load_key
from neurogrid_contracts.terminal.output import print_fields
from neurogrid_wallet.transactions import ComputeBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting(Spending):
    """What every command that acts in a market is told; see the options' help.

    Attributes:
        url: None: the market file's.
        signer_files: members of a multisig that sign, in the authority's place.
    """

    url: str | None  # type: ignore[assignment]  # a market's file names an endpoint too
    market_file: Path
    signer_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Actors:
    """Who signs.

    Attributes:
        authority: the key given as authority.
        members: the keys given as members of a multisig; then the authority has no part.
    """

    authority: Pubkey
    members: tuple[Pubkey, ...]

    def require(self, what: str, expected: Pubkey) -> None:
        """Refuse before anything is sent what the program would refuse.

        Raises:
            CommandError: the authority is another key.
        """
        if self.authority != expected:
            raise CommandError(
                f"{what} is {expected}, and the authority given is {self.authority}",
                AUTHORITY,
                hint="Give its key file with --authority.",
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command is about to do.

    Attributes:
        question: what to ask before it, without a question mark.
        instructions: all of them happen or none.
        shown: what people should see before they say yes, and in the result.
        repeatable: as of ``send``.
    """

    question: str
    instructions: Sequence[Instruction]
    shown: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False


async def act(
    planned: Callable[..., Awaitable[Plan]],
    given: dict[str, Any],
) -> dict[str, Any]:
    """Plan, show, ask, send.

    Args:
        planned: is given the market, the actors and its own options; reads what it needs from the
            chain, and says what to do.
        given: the command line's options: those of ``Acting``, and the plan's own.
    """
    common = {entry.name for entry in fields(Acting)}
    asked = Acting(**{name: value for name, value in given.items() if name in common})
    own: Any = {name: value for name, value in given.items() if name not in common}
    payer, authority = asked.keys()
    members = [load_key(path, asked.passphrase_file) for path in asked.signer_files]
    actors = Actors(
        Pubkey(authority.public_key), tuple(Pubkey(member.public_key) for member in members)
    )
    async with market_at(asked.market_file, asked.url, asked.genesis_hash) as market:
        plan = await planned(market, actors, **own)
        if not asked.as_json:
            print_fields({"cluster": market.cluster.name, **plan.shown}.items(), err=True)
        confirm_spending(market.cluster, plan.question, yes=asked.yes, as_json=asked.as_json)
        sent = await send(
            market.rpc,
            market.cluster,
            plan.instructions,
            state_folder=asked.state_folder,
            payer=payer,
            keys=[authority, *members],
            budget=ComputeBudget(unit_price_micro_lamports=asked.unit_price),
            repeatable=plan.repeatable,
        )
    return {"cluster": market.cluster.name, **plan.shown, "signature": sent.signature}
