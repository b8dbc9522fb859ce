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

ACCOUNT_VERSION = 1
TAG_CONFIG, TAG_PROVIDER, TAG_CLIENT, TAG_ESCROW = 1, 2, 3, 4

# Tag and version first, then one value per field of the class below, in its order. "x" is reserved.
CONFIG_LAYOUT = struct.Struct("<2x B x HH 32s 32s 32s 32s Q qq Q B7x q 48x")
PROVIDER_LAYOUT = struct.Struct("<2x B x 4x 32s 32s 32s 32s QQ q QQQ 16x")
CLIENT_LAYOUT = struct.Struct("<2x B x I 32s 32s 32s 32s Q q QQQQ 16x")
ESCROW_LAYOUT = struct.Struct("<2x B B HH 32s 32s 32s 32s 32s 32s QQQ qqq Q 8x")

BPS_ONE = 10_000


class AccountFormatError(ValueError):
    """These bytes are not the expected account: another type, another version, or nothing at all.

    Usually the address is wrong, the account was closed, or the client is older than the program.
    """


class EscrowState(enum.IntEnum):
    """Whether an escrow is frozen."""

    OPEN = 1
    DISPUTED = 2


@dataclass(frozen=True, slots=True)
class ConfigAccount:
    """The terms of one market. Only ``paused`` can change.

    Attributes:
        fee_bps: of every payment, to the treasury; in 1/10000.
        slash_bps: the most of a provider's whole stake that one dispute may take; in 1/10000.
        admin: may pause.
        arbiter: may resolve and slash disputed escrows.
        usdc_mint: the currency.
        treasury: token account that receives fees.
        min_stake_micro_usdc: a provider with less gets no escrows.
        unbonding_window_s: from request_unstake to withdraw_stake.
        grace_window_s: from an escrow's deadline, or a client's final release, to the refund.
        domain: goes into every voucher; separates clusters and deployments.
        paused: no new stake, deposits or escrows. Exits stay open.
        arbitration_window_s: from the end of the grace window until a dispute lapses.
    """

    bump: int
    fee_bps: int
    slash_bps: int
    admin: Pubkey
    arbiter: Pubkey
    usdc_mint: Pubkey
    treasury: Pubkey
    min_stake_micro_usdc: int
    unbonding_window_s: int
    grace_window_s: int
    domain: int
    paused: bool
    arbitration_window_s: int

    @property
    def longest_escrow_s(self) -> int:
        """How far ahead an escrow's deadline may lie when it is opened."""
        return self.unbonding_window_s - self.grace_window_s - self.arbitration_window_s

    def fee_micro_usdc(self, amount_micro_usdc: int) -> int:
        """The fee contained in one payment, rounded down as the program does."""
        return amount_micro_usdc * self.fee_bps // BPS_ONE

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not a config account.
        """
        values = _values(cls, "config", TAG_CONFIG, CONFIG_LAYOUT, data)
        values["paused"] = bool(values["paused"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A compute provider and its stake.

    Attributes:
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
    """

    bump: int
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
        operator_limit_micro_usdc: what is left of its limit. Opening an escrow takes its maximum.
        operator_expiry_unix_s: from this second on it may do nothing.
        balance_micro_usdc: the deposit, locked part included.
        locked_micro_usdc: promised to escrows.
        sequence: escrows ever opened.
        spent_micro_usdc: lifetime total, fees included.
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

    @property
    def available_micro_usdc(self) -> int:
        """What can be withdrawn or promised to a new escrow."""
        return self.balance_micro_usdc - self.locked_micro_usdc

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            AccountFormatError: it is not a client account.
        """
        values = _values(cls, "client", TAG_CLIENT, CLIENT_LAYOUT, data)
        if not any(bytes(values["operator"])):
            values["operator"] = None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class EscrowAccount:
    """A part of a client's deposit, promised to one provider for one job.

    Attributes:
        state: open or disputed. A closed escrow has no account.
        fee_bps: as it was when the escrow opened; in 1/10000.
        opened_by_operator: charged to the operator's limit, so the operator may act on it.
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
        slashed_micro_usdc: what its dispute took from the provider's stake.
    """

    bump: int
    state: EscrowState
    fee_bps: int
    opened_by_operator: bool
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
    slashed_micro_usdc: int

    @property
    def remaining_micro_usdc(self) -> int:
        """What can still be released."""
        return self.max_micro_usdc - self.released_micro_usdc

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
        values["opened_by_operator"] = bool(values["opened_by_operator"])
        values["job_id"] = bytes(values["job_id"])
        return cls(**values)


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
