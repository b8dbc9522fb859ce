"""What a provider's wallet is asked to sign, in instructions and in words. Pure.

The program checks all of it again: a refusal here costs no fee and says what to do.
"""

from dataclasses import replace

from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import EscrowAccount, EscrowState, ProviderAccount
from neurogrid_contracts.client_money import Plan, plan_send
from neurogrid_contracts.client_money import Standing as WalletStanding
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    SignedVoucher,
    claim_voucher,
    close_provider,
    ed25519_instruction,
    rebond,
    register_provider,
    relinquish,
    request_unstake,
    stake,
    withdraw_stake,
)
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.currencies import Currency
from neurogrid_wallet.transactions import FIRST_INSTRUCTION_INDEX
from neurogrid_wallet.usdc import create_token_account

from .transfer_plans import moment
from .wallet_chain import ProviderStanding


def plan_payout(
    wallet: WalletStanding,
    standing: ProviderStanding,
    owner: Pubkey,
    recipient: Pubkey,
    currency: Currency,
    amount_micro_usdc: int,
) -> Plan:
    """Send earned money on; the chain has paid it into the wallet already, unless it pays another one."""
    plan = plan_send(wallet, owner, recipient, currency, amount_micro_usdc, None)
    account = standing.account
    if plan.lacks and account is not None and account.payout_owner != owner:
        elsewhere = f"; what this provider earns is paid to {account.payout_owner}, which sends it on by itself"
        return replace(plan, lacks=plan.lacks + elsewhere)
    return plan


def plan_stake(
    standing: ProviderStanding, owner: Pubkey, deployment: Deployment, amount_micro_usdc: int
) -> Plan:
    """Add to the stake; becomes a provider, paid to the same wallet, if it is none yet."""
    new = standing.account is None
    staked = 0 if standing.account is None else standing.account.staked_micro_usdc
    after = staked + amount_micro_usdc
    minimum = standing.terms.min_stake_micro_usdc
    opening = (register_provider(deployment, owner=owner, payout_owner=owner),) if new else ()
    says = [
        f"stake {format_usdc(amount_micro_usdc)} USDC",
        f"then staked: {format_usdc(after)} USDC; the market asks for {format_usdc(minimum)}",
    ]
    if new:
        says.insert(0, f"become a provider, who is paid to {owner} for good (0.0044 SOL of rent)")
    lacks = ""
    if amount_micro_usdc > standing.wallet_micro_usdc:
        lacks = (
            f"{format_usdc(amount_micro_usdc)} USDC are asked for, and "
            f"{format_usdc(standing.wallet_micro_usdc)} are in the wallet"
        )
    return Plan(
        tuple(says),
        (
            stake(
                deployment,
                funder=owner,
                provider_owner=owner,
                source=deployment.token_account(owner),
                amount_micro_usdc=amount_micro_usdc,
            ),
        ),
        amount_micro_usdc,
        opening,
        lacks,
    )


def plan_unstake(
    standing: ProviderStanding, owner: Pubkey, deployment: Deployment, amount_micro_usdc: int
) -> Plan:
    """Begin to take stake out; it can be withdrawn when the market's window has passed."""
    account = standing.account
    staked = 0 if account is None else account.staked_micro_usdc
    free = 0 if account is None else account.free_stake_micro_usdc
    unbonding = 0 if account is None else account.unbonding_micro_usdc
    until = standing.now_unix_s + standing.terms.unbonding_window_s
    left = staked - amount_micro_usdc
    minimum = standing.terms.min_stake_micro_usdc
    says = [
        f"take {format_usdc(amount_micro_usdc)} USDC out of the stake",
        f"they can be withdrawn from {moment(until)} on, and slashed until then",
        f"then staked: {format_usdc(max(0, left))} USDC; the market asks for {format_usdc(minimum)}",
    ]
    if unbonding:
        says.append(f"the {format_usdc(unbonding)} USDC that unbond already wait for as long")
    if left < minimum:
        says.append("that is too little for new jobs")
    lacks = ""
    if amount_micro_usdc > free:
        lacks = (
            f"{format_usdc(amount_micro_usdc)} USDC are asked for, and {format_usdc(free)} of the stake can be "
            "taken out"
        )
    instruction = request_unstake(deployment, owner=owner, amount_micro_usdc=amount_micro_usdc)
    return Plan(tuple(says), (instruction,), amount_micro_usdc, lacks=lacks)


def plan_stake_withdrawal(account: ProviderAccount, owner: Pubkey, deployment: Deployment) -> Plan:
    """Take out all stake that has unbonded."""
    amount = account.unbonding_micro_usdc
    return Plan(
        (f"withdraw {format_usdc(amount)} USDC of stake to {owner}",),
        (
            # Closed meanwhile, the wallet's token account is made again.
            create_token_account(owner, owner, deployment.usdc_mint),
            withdraw_stake(deployment, owner=owner, destination=deployment.token_account(owner)),
        ),
        amount,
    )


def plan_claim(
    standing: ProviderStanding,
    owner: Pubkey,
    client: Pubkey,
    deployment: Deployment,
    escrow: EscrowAccount,
    voucher: SignedVoucher,
) -> Plan:
    """Redeem a lease's last voucher, and close its escrow unless that is disputed.

    Args:
        client: the wallet whose escrow it is.
    """
    payout_owner = owner if standing.account is None else standing.account.payout_owner
    is_disputed = escrow.state is EscrowState.DISPUTED
    total = voucher.voucher.cumulative_micro_usdc
    amount = total - escrow.released_micro_usdc
    fee = escrow.fee_micro_usdc(amount)
    says = [
        f"redeem what is signed: {format_usdc(amount)} USDC, less the market's fee of {format_usdc(fee)}",
        f"they are paid to {payout_owner}",
        "the escrow is disputed, and stays open for the arbiter"
        if is_disputed
        else f"close the escrow; {format_usdc(escrow.max_micro_usdc - total)} USDC go back to its client",
    ]
    instructions = (
        # The program reads the signature where this index says, so it comes first.
        ed25519_instruction([voucher]),
        create_token_account(owner, payout_owner, deployment.usdc_mint),
        claim_voucher(
            deployment,
            client_owner=client,
            provider_owner=owner,
            job_id=escrow.job_id,
            payout=deployment.token_account(payout_owner),
            treasury=standing.terms.treasury,
            cumulative_micro_usdc=total,
            ed25519_instruction_index=FIRST_INSTRUCTION_INDEX,
            close_to=None if is_disputed else escrow.rent_payer,
        ),
    )
    return Plan(tuple(says), instructions, amount)


def plan_giving_up(
    owner: Pubkey, client: Pubkey, deployment: Deployment, escrow: EscrowAccount
) -> Plan:
    """Close an escrow of which nothing (more) is due.

    Args:
        client: the wallet whose escrow it is.
    """
    back = format_usdc(escrow.max_micro_usdc - escrow.released_micro_usdc)
    instruction = relinquish(
        deployment,
        client_owner=client,
        provider_owner=owner,
        job_id=escrow.job_id,
        rent_payer=escrow.rent_payer,
    )
    says = ("nothing (more) is due", f"close the escrow; {back} USDC go back to its client")
    return Plan(says, (instruction,), 0)


def plan_rebond(
    standing: ProviderStanding, owner: Pubkey, deployment: Deployment, amount_micro_usdc: int
) -> Plan:
    """Let stake that unbonds be stake again."""
    account = standing.account
    unbonding = 0 if account is None else account.unbonding_micro_usdc
    staked = 0 if account is None else account.staked_micro_usdc
    minimum = standing.terms.min_stake_micro_usdc
    says = (
        f"let {format_usdc(amount_micro_usdc)} USDC that unbond be stake again",
        f"then staked: {format_usdc(staked + amount_micro_usdc)} USDC; the market asks for {format_usdc(minimum)}",
    )
    lacks = ""
    if amount_micro_usdc > unbonding:
        lacks = (
            f"{format_usdc(amount_micro_usdc)} USDC are asked for, and {format_usdc(unbonding)} of the stake are "
            "unbonding"
        )
    instruction = rebond(deployment, owner=owner, amount_micro_usdc=amount_micro_usdc)
    return Plan(says, (instruction,), amount_micro_usdc, lacks=lacks)


def plan_closing(owner: Pubkey, deployment: Deployment) -> Plan:
    """Close a provider account that has nothing left."""
    return Plan(
        (
            f"close the provider account of {owner}: its machines get no more work",
            "its rent (0.0044 SOL) comes back",
        ),
        (
            # What strangers have sent to the stake's account goes there.
            create_token_account(owner, owner, deployment.usdc_mint),
            close_provider(deployment, owner=owner, destination=deployment.token_account(owner)),
        ),
        0,
    )
