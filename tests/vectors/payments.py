"""Vouchers, and the arithmetic of money."""

from neurogrid_marketplace import base58
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.exposure import must_pause, signable_micro_usdc
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.money import cost_micro_usdc, format_usdc
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.voucher import Voucher

from .lease_story import DOMAIN, ESCROW_SEQUENCE, GIB, LEASE_ID, tell
from .parties import VOUCHER_SIGNER


def vouchers() -> Json:
    escrow = tell().voucher.escrow
    vouchers = [
        Voucher(DOMAIN, escrow, ESCROW_SEQUENCE, amount) for amount in (0, 1, 8_831, 2**64 - 1)
    ]
    return {
        "lease_id": LEASE_ID,
        "escrow_job_id_hex": escrow_job_id(LEASE_ID).hex(),
        "escrow": base58.encode(escrow),
        "voucher_signer": VOUCHER_SIGNER.name,
        "vouchers": [
            {
                "domain": str(voucher.domain),
                "sequence": str(voucher.sequence),
                "cumulative_micro_usdc": str(voucher.cumulative_micro_usdc),
                "message_hex": voucher.message().hex(),
                "signature_hex": VOUCHER_SIGNER.sign(voucher.message()).hex(),
            }
            for voucher in vouchers
        ],
    }


def money() -> Json:
    prices = PriceList(1_000, 20_001, 5_003, 600_000)
    needs = (
        Requirements(),
        Requirements(cpu_millis=1, memory_bytes=1, gpu_count=0),
        Requirements(cpu_millis=2_500, memory_bytes=3 * GIB, gpu_count=2),
    )
    costs = ((0, 1), (1, 1), (3_600_000, 1), (3_600_001, 1), (600_000, 42_500), (7, 3_599_999))
    return {
        "costs": [
            {
                "price_micro_usdc_per_hour": price,
                "metered_ms": metered_ms,
                "cost_micro_usdc": cost_micro_usdc(price, metered_ms),
            }
            for price, metered_ms in costs
        ],
        "quotes": [
            {
                "prices": plain(prices),
                "requirements": plain(need),
                "price_micro_usdc_per_hour": prices.quote(need),
            }
            for need in needs
        ],
        "signable": [
            {
                "price_micro_usdc_per_hour": 3_600_000,
                "max_cost_micro_usdc": 60_000,
                "metered_ms": metered_ms,
                "elapsed_ms": elapsed_ms,
                "signable_micro_usdc": signable_micro_usdc(
                    3_600_000, 60_000, metered_ms, elapsed_ms
                ),
            }
            for metered_ms, elapsed_ms in ((30_000, 31_000), (30_000, 20_000), (90_000, 90_000))
        ],
        "pauses": [
            {
                "price_micro_usdc_per_hour": 3_600_000,
                "metered_ms": metered_ms,
                "voucher_micro_usdc": held,
                "max_unpaid_ms": 60_000,
                "must_pause": must_pause(3_600_000, metered_ms, held, 60_000),
            }
            for metered_ms, held in ((60_000, 0), (60_001, 0), (90_000, 30_000), (90_001, 30_000))
        ],
        "texts": [
            {"micro_usdc": amount, "text": format_usdc(amount)}
            for amount in (0, 1, 10_000, 123_456, 1_000_000, 1_230_000, 10**12)
        ],
    }
