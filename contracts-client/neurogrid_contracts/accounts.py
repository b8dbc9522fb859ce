"""The accounts that the escrow program owns, read from their bytes.

Layouts are little-endian and repeat ``contracts-client/program/state.h``; ``idl.json`` lists every
offset, and a test holds the three together. Amounts are micro-USDC, times Unix seconds on the
chain's clock.
"""

import enum
import struct
from dataclasses import dataclass, fields
from typing import Any, Self

from solders.pubkey import Pubkey

from neurogrid_marketplace.voucher import Voucher

ACCOUNT_VERSION = 2
TAG_CONFIG, TAG_PROVIDER, TAG_CLIENT, TAG_ESCROW = 1, 2, 3, 4

# One market_terms structure of state.h.
_TERMS = "HH4x Q qqq Q 32s 32s"
# Tag and version first, then one value per field of the class below, in its order. "x" is reserved.
CONFIG_LAYOUT = struct.Struct(f"<2x B x B3x 32s 32s 32s 32s Q {_TERMS} {_TERMS} q 32x")
PROVIDER_LAYOUT = struct.Struct("<2x B x I 32s 32s 32s 32s QQ q QQQQ 8x")
CLIENT_LAYOUT = struct.Struct("<2x B x I 32s 32s 32s 32s Q q QQQQQ 8x")
ESCROW_LAYOUT = struct.Struct("<2x B B HH 32s 32s 32s 32s 32s 32s QQQ qqq qq QQQQ BBB 13x")

BPS_ONE = 10_000


class AccountFormatError(ValueError):
    """These bytes are not the expected account: another type, another version, or nothing at all.

    Usually the address is wrong, the account was closed, or the client is older than the program.
    """


class EscrowState(enum.IntEnum):
    """Whether an escrow is frozen, or still an offer."""

    OPEN = 1
    DISPUTED = 2
    OFFERED = 3


class DisputeOpener(enum.IntEnum):
    """Who opened an escrow's dispute."""

    NOBODY = 0
    CLIENT = 1
    PROVIDER = 2


@dataclass(frozen=True, slots=True)
class ConfigAccount:
    """A market: its terms, and those that were proposed. Escrows keep the terms they opened under.

    Attributes:
        paused: no new stake, deposits or escrows. Exits stay open.
        creator: whose key is in the config's address; the first admin.
        admin: may pause, propose terms and hand over.
        pending_admin: may accept the administration; None: nobody.
        usdc_mint: the currency.
        domain: goes into every voucher; separates clusters and deployments.
        fee_bps: of every payment, to the treasury; in 1/10000.
        slash_bps: the most of a provider's whole stake that one dispute may take; in 1/10000.
        min_stake_micro_usdc: a provider with less gets no escrows.
        unbonding_window_s: from request_unstake to withdraw_stake; also the notice for new terms.
        grace_window_s: from an escrow's deadline, or a client's final release, to the refund.
        arbitration_window_s: from the end of the grace window until a dispute lapses.
        dispute_bond_micro_usdc: what opening a dispute puts at stake.
        arbiter: may resolve and slash disputed escrows: a key, or an SPL Token multisig.
        treasury: token account that receives fees.
        terms_from_unix_s: when the pending terms may be applied; 0: none are proposed, and every
            ``pending_`` field is zero.
    """

    bump: int
    paused: bool
    creator: Pubkey
    admin: Pubkey
    pending_admin: Pubkey | None
    usdc_mint: Pubkey
    domain: int
    fee_bps: int
    slash_bps: int
    min_stake_micro_usdc: int
    unbonding_window_s: int
    grace_window_s: int
    arbitration_window_s: int
    dispute_bond_micro_usdc: int
    arbiter: Pubkey
    treasury: Pubkey
    pending_fee_bps: int
    pending_slash_bps: int
    pending_min_stake_micro_usdc: int
    pending_unbonding_window_s: int
    pending_grace_window_s: int
    pending_arbitration_window_s: int
    pending_dispute_bond_micro_usdc: int
    pending_arbiter: Pubkey
    pending_treasury: Pubkey
    terms_from_unix_s: int

    @property
    def longest_escrow_s(self) -> int:
        """How far ahead an escrow's deadline may lie when it is opened."""
        return self.unbonding_window_s - self.grace_window_s - self.arbitration_window_s

    def fee_micro_usdc(self, amount_micro_usdc: int) -> int:
        """The fee in one payment of an escrow that opens today, rounded down as the program does."""
        return amount_micro_usdc * self.fee_bps // BPS_ONE

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not a config account.
        """
        values = _values(cls, "config", TAG_CONFIG, CONFIG_LAYOUT, data)
        values["paused"] = bool(values["paused"])
        values["pending_admin"] = _unless_zero(values["pending_admin"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A compute provider and its stake.

    Attributes:
        open_escrows: how many are open now.
        config: the market.
        owner: the wallet that stakes, unstakes and closes escrows.
        payout_owner: payments go only to token accounts of this wallet.
        vault: token account that holds the stake.
        staked_micro_usdc: counts towards the minimum.
        unbonding_micro_usdc: asked back; does not count, but is still slashable.
        unbonding_until_unix_s: when it may be withdrawn; 0 if never asked.
        slashed_micro_usdc: lifetime total.
        earned_micro_usdc: lifetime total, after fees.
        jobs_completed: escrows closed with this provider's signature. A statistic, not a proof.
        bonded_micro_usdc: what of the stake its own disputes hold; slashable like the rest, so it
            can exceed what is staked.
    """

    bump: int
    open_escrows: int
    config: Pubkey
    owner: Pubkey
    payout_owner: Pubkey
    vault: Pubkey
    staked_micro_usdc: int
    unbonding_micro_usdc: int
    unbonding_until_unix_s: int
    slashed_micro_usdc: int
    earned_micro_usdc: int
    jobs_completed: int
    bonded_micro_usdc: int

    @property
    def free_stake_micro_usdc(self) -> int:
        """What can be asked back, or bonded in a dispute."""
        return max(0, self.staked_micro_usdc - self.bonded_micro_usdc)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not a provider account.
        """
        return cls(**_values(cls, "provider", TAG_PROVIDER, PROVIDER_LAYOUT, data))


@dataclass(frozen=True, slots=True)
class ClientAccount:
    """A client and its deposit.

    Attributes:
        open_escrows: how many are open now.
        config: the market.
        owner: the wallet that withdraws.
        vault: token account that holds the deposit.
        operator: may open escrows in the owner's name; None: nobody.
        operator_limit_micro_usdc: what is left of its limit. An escrow takes its maximum, and
            gives back what it did not pay.
        operator_expiry_unix_s: from this second on it may do nothing.
        balance_micro_usdc: the deposit, locked part included.
        locked_micro_usdc: promised to escrows, or bonded in disputes.
        sequence: of its latest escrow.
        spent_micro_usdc: lifetime total, fees included.
        operator_grant: how often set_operator was called; which grant the limit is of.
    """

    bump: int
    open_escrows: int
    config: Pubkey
    owner: Pubkey
    vault: Pubkey
    operator: Pubkey | None
    operator_limit_micro_usdc: int
    operator_expiry_unix_s: int
    balance_micro_usdc: int
    locked_micro_usdc: int
    sequence: int
    spent_micro_usdc: int
    operator_grant: int

    @property
    def available_micro_usdc(self) -> int:
        """What can be withdrawn or promised to a new escrow."""
        return self.balance_micro_usdc - self.locked_micro_usdc

    def limit_micro_usdc(self, key: Pubkey, now_unix_s: float) -> int:
        """What ``key`` may open escrows for at most, whatever is available: all that there is for the
        owner, what is left of its limit for the operator, nothing for anybody else."""
        if key == self.owner:
            return self.balance_micro_usdc
        is_operator = key == self.operator and now_unix_s < self.operator_expiry_unix_s
        return self.operator_limit_micro_usdc if is_operator else 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not a client account.
        """
        values = _values(cls, "client", TAG_CLIENT, CLIENT_LAYOUT, data)
        values["operator"] = _unless_zero(values["operator"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class EscrowAccount:
    """A part of a client's deposit, promised to one provider for one job.

    Attributes:
        state: open, disputed or offered. A closed escrow has no account.
        fee_bps: as it was when the escrow opened; in 1/10000.
        slash_bps: as it was when the escrow opened; in 1/10000.
        config: the market.
        client: the client account (not its owner).
        provider: the provider account (not its owner).
        job_id: 32 bytes.
        rent_payer: gets the account's rent back when it closes.
        voucher_signer: the Ed25519 key whose vouchers it honours.
        sequence: goes into every voucher; a job id that is opened again gets a new one.
        max_micro_usdc: the whole promise.
        released_micro_usdc: paid so far, fees included. Vouchers count the same total.
        opened_unix_s: when it was opened.
        deadline_unix_s: when the job should have ended.
        claim_until_unix_s: last second in which a voucher can be redeemed or a dispute opened.
        grace_window_s: as it was when the escrow opened.
        arbitration_window_s: as it was when the escrow opened.
        dispute_bond_micro_usdc: as it was when the escrow opened; while disputed, the opener has
            posted it.
        slashed_micro_usdc: what its dispute took from the provider's stake.
        operator_charge_micro_usdc: what the grant below was charged for it.
        operator_grant: which grant of the client's operator.
        opened_by_operator: charged to the operator's limit, so the operator may act on it.
        dispute_opener: who opened the dispute.
        client_complains: the client opened the dispute or joined it, so the arbiter may slash.
    """

    bump: int
    state: EscrowState
    fee_bps: int
    slash_bps: int
    config: Pubkey
    client: Pubkey
    provider: Pubkey
    job_id: bytes
    rent_payer: Pubkey
    voucher_signer: Pubkey
    sequence: int
    max_micro_usdc: int
    released_micro_usdc: int
    opened_unix_s: int
    deadline_unix_s: int
    claim_until_unix_s: int
    grace_window_s: int
    arbitration_window_s: int
    dispute_bond_micro_usdc: int
    slashed_micro_usdc: int
    operator_charge_micro_usdc: int
    operator_grant: int
    opened_by_operator: bool
    dispute_opener: DisputeOpener
    client_complains: bool

    @property
    def remaining_micro_usdc(self) -> int:
        """What can still be released."""
        return self.max_micro_usdc - self.released_micro_usdc

    @property
    def refund_after_unix_s(self) -> int:
        """Once this second has passed, anybody may refund the client."""
        disputed = self.state is EscrowState.DISPUTED
        return self.claim_until_unix_s + (self.arbitration_window_s if disputed else 0)

    def fee_micro_usdc(self, amount_micro_usdc: int) -> int:
        """The fee contained in one payment, rounded down as the program does."""
        return amount_micro_usdc * self.fee_bps // BPS_ONE

    def voucher(
        self, address: Pubkey, config: ConfigAccount, cumulative_micro_usdc: int
    ) -> Voucher:
        """The voucher for a total of ``cumulative_micro_usdc``, to be signed by voucher_signer.

        Args:
            address: this escrow's own address.
            config: the market's terms, for their domain.
            cumulative_micro_usdc: what the provider has earned in total, fees included.
        """
        return Voucher(config.domain, bytes(address), self.sequence, cumulative_micro_usdc)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not an escrow account.
        """
        values = _values(cls, "escrow", TAG_ESCROW, ESCROW_LAYOUT, data)
        try:
            values["state"] = EscrowState(values["state"])
        except ValueError as error:
            raise AccountFormatError(f"an escrow has no state {values['state']}") from error
        try:
            values["dispute_opener"] = DisputeOpener(values["dispute_opener"])
        except ValueError as error:
            raise AccountFormatError(f"no party {values['dispute_opener']} can dispute") from error
        for flag in ("opened_by_operator", "client_complains"):
            values[flag] = bool(values[flag])
        values["job_id"] = bytes(values["job_id"])
        return cls(**values)


def _unless_zero(key: Pubkey) -> Pubkey | None:
    return key if any(bytes(key)) else None


def _values(
    account_type: type, name: str, tag: int, layout: struct.Struct, data: bytes
) -> dict[str, Any]:
    """The account's values by field name; 32 bytes become an address."""
    if len(data) != layout.size:
        raise AccountFormatError(f"a {name} account has {layout.size} bytes, not {len(data)}")
    if data[0] != tag:
        raise AccountFormatError(f"not a {name} account: its tag is {data[0]}, not {tag}")
    if data[1] != ACCOUNT_VERSION:
        raise AccountFormatError(
            f"this {name} account has version {data[1]}; this client reads {ACCOUNT_VERSION}"
        )
    return {
        field.name: Pubkey(value) if isinstance(value, bytes) else value
        for field, value in zip(fields(account_type), layout.unpack(data), strict=True)
    }
