"""A person's way through the dashboard, with a job that really runs and is really paid."""

from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import SignIn


def test_a_node_is_seen_at_work_and_then_paid_without_loading_anything_again(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    sign_in("/network")
    table = page.get_by_role("table", name="Nodes")
    expect(table.locator("tbody tr")).to_have_count(2)
    page.evaluate("() => { window.sameDocument = true; }")
    task = market.submit("sleep", "15")
    node_id = market.until_phase(task.id, "running").node_id
    assert node_id is not None
    row = table.get_by_role("row").filter(has=page.get_by_title(node_id, exact=True))
    expect(row.get_by_role("meter", name="Load of")).not_to_have_attribute("value", "0")
    running = page.locator(".stat", has_text="Tasks running")
    expect(running.locator("dd")).to_contain_text("1")
    row.get_by_role("link").click()
    earned = page.locator(".stat", has=page.get_by_text("Earned", exact=True)).locator("dd")
    expect(earned).to_contain_text("USDC")
    before = earned.inner_text()
    market.client.tasks.cancel(task.id)
    market.until_settled(task.id)
    expect(earned).not_to_have_text(before)
    assert page.evaluate("() => window.sameDocument") is True
