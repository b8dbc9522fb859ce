"""Webhooks, as a person makes and tries them."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dashboard.conftest import CheckAxe, Picture, SignIn


def test_a_webhook_is_made_tested_its_attempts_read_and_it_is_deleted(
    page: Page,
    sign_in: SignIn,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/webhooks")
    # Nobody listens there: what a person needs to see is why it was not heard.
    page.get_by_label("Address").fill("http://hooks.localhost:8099/told")
    page.get_by_role("button", name="Make the webhook").click()
    new = page.get_by_role("region", name="New webhook")
    expect(new.get_by_text("it is not shown again")).to_be_visible()
    new.get_by_role("button", name="I have kept it").click()
    row = page.get_by_role("table", name="Webhooks").get_by_role("row").filter(has_text="/told")
    row.get_by_role("button", name="Test").click()
    told = page.get_by_role("table", name="Deliveries").locator("tbody tr")
    expect(told).to_have_count(1)
    expect(told.get_by_text("failed")).to_be_visible()
    told.get_by_role("button", name="Attempts").click()
    expect(page.get_by_role("table", name="Attempts").locator("tbody tr")).to_have_count(1)
    check_axe()
    check_narrow()
    picture("webhooks")
    told.get_by_role("button", name="Send again").click()
    # It is the same delivery, so that who has heard it knows it again.
    attempts = page.get_by_role("table", name="Attempts").locator("tbody tr")
    expect(attempts).to_have_count(2)
    expect(told).to_have_count(1)
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
