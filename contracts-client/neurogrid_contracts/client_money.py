"""A client's money: what it has, and the payments that move it; built here, sent by an outbox.

``read_standing`` asks the chain, the ``plan_...`` functions say what would be done, left and lacking,
and ``carry_out`` pays exactly once.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ClientAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import deposit, open_client, set_operator, withdraw
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.currencies import Currency
from neurogrid_wallet.errors import InsufficientFunds, PaymentFailed, PreflightFailed
from neurogrid_wallet.intent import Intent
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, Payment
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget, build_transaction
from neurogrid_wallet.usdc import create_token_account, memo, pay, token_address


@dataclass(frozen=True, slots=True)
class Standing:
    """What a wallet has at one instant.

    Attributes:
        lamports: SOL for fees and rent.
        tokens_micro: by currency name, in the wallet itself.
        client: its account in the market's program; None without one, or without a market.
    """

    lamports: int
    tokens_micro: dict[str, int]
    client: ClientAccount | None


async def read_standing(
    rpc: Rpc,
    owner: Pubkey,
    currencies: Sequence[Currency],
    deployment: Deployment | None,
    commitment: Commitment = Commitment.CONFIRMED,
) -> Standing:
    """Everything in one call, so that it is of one instant.

    Raises:
        RpcError: the endpoint does not answer.
        AccountFormatError: the client account is of another version.
    """
    addresses = [owner, *(token_address(owner, entry.mint) for entry in currencies)]
    if deployment is not None:
        addresses.append(deployment.client(owner))
    wallet, *others = await rpc.get_accounts(addresses, commitment)
    tokens = {
        entry.name: 0 if account is None else int.from_bytes(account.data[64:72], "little")
        for entry, account in zip(currencies, others, strict=False)
    }
    client = others[len(currencies)] if deployment is not None else None
    return Standing(
        0 if wallet is None else wallet.lamports,
        tokens,
        None if client is None else ClientAccount.parse(client.data),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A payment before it is made.

    Attributes:
        says: what it does and what is left afterwards, one line each.
        instructions: the same ones whenever the same thing is asked for.
        worth_micro_usdc: how much it moves.
        first: a payment that has to be made before; its own instructions.
        lacks: why there is not enough money to begin it; empty where there is. A payment that was
            begun already needs nothing more.
    """

    says: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    worth_micro_usdc: int = 0
    first: tuple[Instruction, ...] = ()
    lacks: str = ""


def plan_send(
    standing: Standing,
    owner: Pubkey,
    recipient: Pubkey,
    currency: Currency,
    amount_micro: int,
    note: str | None,
) -> Plan:
    """Send to another wallet, creating its token account if need be.

    Raises:
        ValueError: nothing to send, or a note that is too long.
    """
    held = standing.tokens_micro[currency.name]
    instructions = pay(owner, owner, recipient, currency.mint, amount_micro)
    if note is not None:
        instructions.append(memo(note))
    return Plan(
        (
            f"send {format_usdc(amount_micro)} {currency.name} to {recipient}",
            f"left in the wallet: {format_usdc(held - amount_micro)} {currency.name}",
        ),
        tuple(instructions),
        amount_micro,
        lacks=_lack(held, amount_micro, currency.name, "in the wallet"),
    )


def plan_deposit(
    standing: Standing, owner: Pubkey, deployment: Deployment, currency: Currency, amount_micro: int
) -> Plan:
    """Move money into the client account, opening it first if need be."""
    held = standing.tokens_micro[currency.name]
    client = standing.client
    deposited = amount_micro + (0 if client is None else client.available_micro_usdc)
    instruction = deposit(
        deployment,
        funder=owner,
        client_owner=owner,
        source=deployment.token_account(owner),
        amount_micro_usdc=amount_micro,
    )
    opening = () if client is not None else (open_client(deployment, owner=owner),)
    return Plan(
        (
            f"deposit {format_usdc(amount_micro)} {currency.name} into the client account",
            *(("open the client account first (0.0043 SOL of rent)",) if opening else ()),
            f"left in the wallet: {format_usdc(held - amount_micro)} {currency.name}",
            f"then available for jobs: {format_usdc(deposited)} {currency.name}",
        ),
        (instruction,),
        amount_micro,
        opening,
        _lack(held, amount_micro, currency.name, "in the wallet"),
    )


def plan_withdraw(
    standing: Standing,
    owner: Pubkey,
    deployment: Deployment,
    currency: Currency,
    amount_micro: int,
    recipient: Pubkey,
) -> Plan:
    """Take unlocked money out of the client account.

    Args:
        recipient: whose token account gets it, created if need be.
    """
    available = 0 if standing.client is None else standing.client.available_micro_usdc
    locked = 0 if standing.client is None else standing.client.locked_micro_usdc
    return Plan(
        (
            f"withdraw {format_usdc(amount_micro)} {currency.name} to {recipient}",
            f"left in the client account: {format_usdc(available - amount_micro)} {currency.name}",
            f"and locked there for jobs: {format_usdc(locked)} {currency.name}",
        ),
        (
            create_token_account(owner, recipient, currency.mint),
            withdraw(
                deployment,
                owner=owner,
                destination=token_address(recipient, currency.mint),
                amount_micro_usdc=amount_micro,
            ),
        ),
        amount_micro,
        lacks=_lack(available, amount_micro, currency.name, "unlocked in the client account"),
    )


def plan_operator(
    standing: Standing,
    owner: Pubkey,
    deployment: Deployment,
    operator: Pubkey | None,
    limit_micro_usdc: int,
    expiry_unix_s: int,
) -> Plan:
    """Name who may open escrows in the client's name, or with None nobody."""
    lacks = "" if standing.client is not None else "there is no client account yet: deposit first"
    instruction = set_operator(
        deployment,
        owner=owner,
        operator=operator,
        limit_micro_usdc=limit_micro_usdc,
        expiry_unix_s=expiry_unix_s,
    )
    if operator is None:
        says = ("let no operator open escrows any more; open ones run on",)
        return Plan(says, (instruction,), lacks=lacks)
    return Plan(
        (
            f"let {operator} open escrows in this client's name",
            f"up to {format_usdc(limit_micro_usdc)} in all",
        ),
        (instruction,),
        lacks=lacks,
    )


# What the runtime says of a payer that lacks SOL: for the fee (or altogether), and for the rent of
# an account that the transaction creates (System's own error 1).
_NO_SOL_NAMES = frozenset(
    {"AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent"}
)
_SYSTEM_NO_SOL = 1


async def preflight(rpc: Rpc, plan: Plan, owner: KeyPair) -> None:
    """Try what nobody has begun yet, without sending it.

    Raises:
        InsufficientFunds: the wallet lacks SOL.
        PreflightFailed: the chain would refuse it otherwise.
    """
    instructions = [*plan.first, *plan.instructions]
    signers = [owner.to_solders()]
    payer = Pubkey(owner.public_key)
    raw = build_transaction(instructions, payer, signers, Hash.default())
    failure = (await rpc.simulate(raw)).failure
    if failure is None:
        return
    if failure.name in _NO_SOL_NAMES or failure.custom_program_error == _SYSTEM_NO_SOL:
        raise InsufficientFunds("the wallet lacks SOL for the fee, or for the rent of an account")
    raise PreflightFailed(failure)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A payment that was made.

    Attributes:
        resumed: an earlier, interrupted command had begun it, and this one only saw it through.
    """

    payment: Payment
    resumed: bool


def payment_id_of(plan: Plan, owner: Pubkey, given: str | None) -> str:
    """The outbox's name for a plan: the one given, or one that the same plan always has."""
    if given is not None:
        return f"id {given}"
    return f"auto {Intent(owner, plan.instructions, (), ComputeBudget()).identity().hex()}"


async def is_begun(outbox: Outbox, plan: Plan, owner: Pubkey, given_id: str | None) -> bool:
    """Whether an earlier call has begun this payment already."""
    return await outbox.get(payment_id_of(plan, owner, given_id)) is not None


async def carry_out(
    outbox: Outbox,
    plan: Plan,
    owner: Pubkey,
    *,
    given_id: str | None = None,
    timeout_s: float,
    tell: Callable[[Outcome], Awaitable[None]],
) -> None:
    """Make the payment once and wait until it is final; the outbox must be running.

    With ``given_id`` it is made once for ever. Without, a repetition after a crash sees the
    interrupted payment through instead of making another; once ``tell`` has returned, the same
    thing may be paid again.

    Raises:
        InsufficientFunds: there is not enough, and nothing was begun.
        PaymentFailed: the chain refused it; it may be tried again.
        PaymentTimeout: not decided yet; repeat the same call.
        PaymentConflict: ``given_id`` names another payment.
    """
    if plan.first and not await is_begun(outbox, plan, owner, given_id):
        if plan.lacks:
            raise InsufficientFunds(plan.lacks)
        first = Plan((), plan.first)
        # What an earlier life finished and did not forget was about an account that is gone.
        await outbox.forget(payment_id_of(first, owner, None))
        await _once(outbox, first, owner, None, timeout_s, None)
    await _once(outbox, plan, owner, given_id, timeout_s, tell)


async def _once(
    outbox: Outbox,
    plan: Plan,
    owner: Pubkey,
    given_id: str | None,
    timeout_s: float,
    tell: Callable[[Outcome], Awaitable[None]] | None,
) -> None:
    payment_id = payment_id_of(plan, owner, given_id)
    resumed = await outbox.get(payment_id) is not None
    if plan.lacks and not resumed:
        raise InsufficientFunds(plan.lacks)
    await outbox.submit(
        payment_id, plan.instructions, owner, worth_micro_usdc=plan.worth_micro_usdc
    )
    try:
        payment = await outbox.finalized(payment_id, timeout_s)
    except PaymentFailed:
        # It moved nothing: what stays behind would only forbid to try again.
        await outbox.forget(payment_id)
        raise
    if tell is not None:
        await tell(Outcome(payment, resumed))
    if given_id is None:
        await outbox.forget(payment_id)


def _lack(held_micro: int, amount_micro: int, name: str, where: str) -> str:
    """What is lacking, for people; empty where nothing is."""
    if amount_micro <= held_micro:
        return ""
    return (
        f"{format_usdc(amount_micro)} {name} are asked for, "
        f"and {format_usdc(held_micro)} are {where}"
    )
