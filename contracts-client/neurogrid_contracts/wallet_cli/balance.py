"""``neurogrid wallet balance``."""

import click
from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Standing
from neurogrid_contracts.terminal.output import exact_sol, print_fields, print_json
from neurogrid_contracts.wallet_cli.chain import Chain, ask, with_chain
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_contracts.wallet_cli.standing import amounts, client_fields
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc


@click.command()
@with_session
@with_chain
def balance(session: Session, chain: Chain) -> None:
    """Show what the wallet and its client account hold.

    Only what is final counts. From a large sum on, two endpoints have to say the same.
    """
    wallet = session.wallet()
    wallet.require_usable()
    owner = Pubkey.from_string(wallet.address)

    async def question(rpc: Rpc, second: Rpc | None) -> None:
        standing = await chain.standing(rpc, owner, Commitment.FINALIZED)
        newest = await chain.standing(rpc, owner)
        agreement = await _second_word(chain, second, owner, standing)
        _print_balance(session, chain, wallet.address, standing, newest, agreement)

    ask(chain, question)


async def _second_word(
    chain: Chain, second: Rpc | None, owner: Pubkey, first: Standing
) -> str | None:
    """Why a large balance cannot be relied on yet; None where it can, or is small."""
    client_micro = 0 if first.client is None else first.client.balance_micro_usdc
    largest = max([client_micro, *first.tokens_micro.values()])
    if largest < chain.config.two_endpoints_from_micro_usdc():
        return None
    if second is None:
        return "no second endpoint is configured to check so large a sum"
    try:
        other = await chain.standing(second, owner, Commitment.FINALIZED)
    except RpcError as error:
        return f"the second endpoint gives no answer: {error}"
    if (other.tokens_micro, other.client) == (first.tokens_micro, first.client):
        return None
    return "the two endpoints disagree: wait, and look again"


def _print_balance(
    session: Session,
    chain: Chain,
    address: str,
    standing: Standing,
    newest: Standing,
    doubt: str | None,
) -> None:
    client = standing.client
    if session.as_json:
        print_json(
            {
                "address": address,
                "sol": exact_sol(standing.lamports),
                "wallet": amounts(standing.tokens_micro),
                "wallet_not_final": amounts(
                    {
                        name: newest.tokens_micro[name] - micro
                        for name, micro in standing.tokens_micro.items()
                    }
                ),
                "client": None if client is None else client_fields(standing),
                "verified": doubt is None,
                "doubt": doubt,
            }
        )
        return
    rows: list[tuple[str, str | None]] = [("address", address)]
    rows.append(("SOL", f"{exact_sol(standing.lamports)}  for fees"))
    for name, micro in standing.tokens_micro.items():
        coming = newest.tokens_micro[name] - micro
        note = f"  ({format_usdc(coming)} not final yet)" if coming else ""
        rows.append((name, f"{format_usdc(micro)}  in the wallet{note}"))
    if client is not None:
        name = chain.currency(None).name
        rows.append(("client", f"{format_usdc(client.available_micro_usdc)} {name} available"))
        rows.append(("", f"{format_usdc(client.locked_micro_usdc)} {name} locked for jobs"))
    print_fields([(label or " ", value) for label, value in rows])
    if doubt is not None:
        click.echo(f"not verified: {doubt}", err=True)
