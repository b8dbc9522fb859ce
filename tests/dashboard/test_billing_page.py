"""Money, as a person reads and moves it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, expect

from acceptance.network import Devnet, until
from dashboard.conftest import CheckAxe, Picture, SignIn


@pytest.fixture(scope="module")
def paid(market: Devnet) -> str:
    """A task of the devnet's client that was paid, by its id."""
    return str(market.until_settled(market.submit("true").id).id)


def test_what_tasks_cost_is_listed_summed_by_day_and_kept_as_csv(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    paid: str,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/billing")
    runs = page.get_by_role("table", name="Runs")
    expect(runs.locator(f'a[href$="/tasks/{paid}"]')).to_be_visible()
    expect(page.get_by_text("To spend", exact=True)).to_be_visible()
    figure = page.get_by_role("figure", name="Paid each day", exact=True)
    # Whoever can't see the chart has the same figures as a table.
    figure.get_by_text("The same as a table").click()
    expect(figure.get_by_role("row")).to_have_count(31)
    with page.expect_download() as kept:
        page.get_by_role("button", name="Keep as CSV").click()
    assert paid in Path(kept.value.path()).read_text()
    figure.get_by_text("The same as a table").click()
    check_axe()
    check_narrow()
    picture("billing")


def test_a_spending_limit_counts_once_it_is_saved_and_an_amount_that_is_none_is_not_sent(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    sign_in("/billing")
    month = page.get_by_label("A month costs at most, USDC")
    month.fill("1e3")
    expect(page.get_by_text("Give an amount of USDC")).to_be_visible()
    expect(page.get_by_role("button", name="Save the limits")).to_be_disabled()
    month.fill("900.25")
    page.get_by_role("button", name="Save the limits").click()

    def saved(amount: str | None) -> bool:
        limit: str | None = market.http.get("/account/limits").json()["data"]["monthly_budget"]
        return limit == amount or (limit is not None and limit.rstrip("0") == amount)

    until(lambda: saved("900.25"), "the limit is saved")
    expect(page.get_by_text("The limits are saved")).to_be_visible()
    expect(month).to_have_value("900.25")
    month.fill("")
    page.get_by_role("button", name="Save the limits").click()
    until(lambda: saved(None), "the limit is gone")


def test_a_deposit_is_signed_by_the_browsers_wallet_and_arrives(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    numbers = bytes(json.loads(Path(market.network.client_keypair).read_text()))
    key = Ed25519PrivateKey.from_private_bytes(numbers[:32])

    def sign(transaction: str) -> str:
        # The number of signatures, one that is still empty, and what it is of.
        message = base64.b64decode(transaction)[65:]
        return base64.b64encode(b"\x01" + key.sign(message) + message).decode()

    page.expose_function("signForTest", sign)
    account = json.dumps({"address": market.network.client_wallet})
    page.add_init_script(
        f"""
        const text = (bytes) => btoa(String.fromCharCode(...bytes));
        const wallet = {{name: 'Test wallet', version: '1.0.0', accounts: [], features: {{
          'standard:connect': {{connect: async () => ({{accounts: [{account}]}})}},
          'solana:signTransaction': {{signTransaction: async ({{transaction}}) => [{{
            signedTransaction: Uint8Array.from(atob(await signForTest(text(transaction))), (c) => c.charCodeAt(0))}}]}},
        }}}};
        addEventListener('wallet-standard:app-ready', ({{detail}}) => detail.register(wallet));
        """
    )
    sign_in("/billing")
    page.get_by_label("Amount, USDC").fill("0.25")
    page.get_by_role("button", name="Write the transaction").click()
    page.get_by_role("button", name="Sign with Test wallet").click()
    question = page.get_by_role("dialog", name="Move the money?")
    question.get_by_role("button", name="Sign with Test wallet").click()
    card = page.get_by_role("region", name="Move money")
    expect(card.get_by_text("completed", exact=True)).to_be_visible(timeout=60_000)
