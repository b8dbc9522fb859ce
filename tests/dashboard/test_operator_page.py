"""The whole coordinator, as its operator sees it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def test_the_operator_sees_health_accounts_errors_and_an_audit_log_that_is_filtered(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    key = market.network.operator_api_key
    assert key
    sign_in("/operator", key)
    expect(page.get_by_role("table", name="Services").get_by_text("healthy").first).to_be_visible()
    accounts = page.get_by_role("table", name="Accounts")
    for name in ("devnet", "provider", "operator"):
        expect(accounts.get_by_role("cell", name=name, exact=True).first).to_be_visible()
    log = page.get_by_role("table", name="Audit log")
    expect(log.locator("tbody tr").first).to_be_visible()
    page.get_by_label("Kind of row").select_option("api")
    expect(log.locator("tbody tr td:nth-child(2)").first).to_have_text("api")
    page.get_by_label("Account id").fill("nobody")
    expect(page.get_by_text("Nothing is so. Choose other filters.")).to_be_visible()
    page.get_by_label("Account id").fill("")
    check_axe()
    check_narrow()
    picture("operator")


def test_who_is_no_operator_is_offered_no_operators_page(page: Page, sign_in: SignIn) -> None:
    sign_in("/network")
    navigation = page.get_by_role("navigation", name="Pages")
    expect(navigation.get_by_role("link", name="Billing")).to_be_visible()
    expect(navigation.get_by_role("link", name="Operator")).to_have_count(0)
