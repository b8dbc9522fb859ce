"""Keys, as a person makes and revokes them."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def test_a_key_is_shown_once_opens_what_it_may_and_opens_nothing_once_revoked(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/keys")
    page.get_by_label("Name", exact=True).fill("made by a person")
    page.get_by_label("write: change things and spend money").uncheck()
    page.get_by_role("button", name="Make the key").click()
    made = page.get_by_role("region", name="New key")
    expect(made.get_by_text("it is not shown again")).to_be_visible()
    secret = made.locator(".copyable code").inner_text()
    picture("keys")
    own = {"Authorization": f"Bearer {secret}"}
    assert market.http.get("/account", headers=own).status_code == 200
    assert market.http.post("/api-keys", headers=own, json={}).status_code == 403
    made.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_text(secret)).to_have_count(0)
    row = page.get_by_role("row").filter(has_text="made by a person")
    check_axe()
    check_narrow()
    row.get_by_role("button", name="Revoke").click()
    question = page.get_by_role("dialog", name="Revoke made by a person?")
    question.get_by_role("button", name="Revoke").click()
    # Those that have ended are not listed until one asks.
    expect(row).to_have_count(0)
    page.get_by_label("Also ended ones").check()
    expect(row.get_by_text("revoked")).to_be_visible()
    assert market.http.get("/account", headers=own).status_code == 401
