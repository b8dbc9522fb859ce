"""A provider's machines and earnings, as their owner sees them."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def test_the_owner_reads_what_a_paid_task_earned(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    network = market.network
    key = network.provider_api_key
    assert key
    # Its nodes have owners of their own: this task goes to the one whose key it is.
    where = f"node.id = {network.nodes[0].peer_id}"
    task = market.until_settled(market.submit("sh", "-c", "sleep 2", where=where).id)
    assert task.node_id == network.nodes[0].peer_id
    sign_in("/provider", key)
    earnings = page.get_by_role("region", name="Earnings")
    expect(earnings.get_by_role("table", name="Jobs").get_by_text("settled").first).to_be_visible()
    expect(earnings.locator("dd").first).not_to_contain_text("0.00 USDC")
    expect(page.get_by_role("table", name="Machines").locator("tbody tr")).to_have_count(1)
    stake = page.get_by_role("region", name="Stake")
    expect(stake.get_by_text("Wanted at least")).to_be_visible()
    check_axe()
    check_narrow()
    picture("provider")
    # What another role sees is not offered.
    expect(page.get_by_role("link", name="Billing")).to_have_count(0)
