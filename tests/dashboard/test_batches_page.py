"""Batches, as a person looks for them."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dashboard.conftest import CheckAxe, SignIn


def test_without_batches_the_page_says_where_they_come_from(
    page: Page, sign_in: SignIn, check_axe: CheckAxe, check_narrow: Callable[[], None]
) -> None:
    sign_in("/batches")
    expect(page.get_by_text("docs/batches.md says how to hand in many")).to_be_visible()
    check_axe()
    check_narrow()
