"""The network and its nodes, as they are shown."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def test_nodes_are_on_the_map_and_in_a_table_that_is_sorted_and_filtered(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/network")
    world = page.get_by_role("img", name="World map of nodes.")
    expect(world).to_have_accessible_name(
        "World map of nodes. Central Europe: 1 node, US East: 1 node"
    )
    table = page.get_by_role("table", name="Nodes")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(2)
    regions = table.locator("tbody td:nth-child(3)")
    table.get_by_role("button", name="Region").click()
    expect(regions).to_have_text(["eu-central-1", "us-east"])
    table.get_by_role("button", name="Region").press("Enter")
    expect(regions).to_have_text(["us-east", "eu-central-1"])
    expect(table.get_by_role("columnheader", name="Region")).to_have_attribute(
        "aria-sort", "descending"
    )
    # The coordinator says so every five seconds.
    expect(page.get_by_text("Tasks running")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    check_axe()
    check_narrow()
    picture("network")
    page.get_by_label("Find").fill("us-east")
    expect(rows).to_have_count(1)
    # What one looks for is part of the address.
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Find").fill("no such node")
    expect(page.get_by_text("No node is so.")).to_be_visible()


def test_a_node_says_what_it_has_how_it_does_and_what_was_found_out(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    node = market.network.nodes[0]
    sign_in("/network")
    page.get_by_role("link", name=node.peer_id[:7]).first.click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    for region in ("Machine", "Who it is", "Reputation", "Evidence about its hardware"):
        expect(page.get_by_role("region", name=region, exact=True)).to_be_visible()
    expect(page.get_by_text("a newcomer has 50.0")).to_be_visible()
    expect(page.get_by_text("Earned", exact=True)).to_be_visible()
    check_axe()
    check_narrow()
    picture("node")


def test_a_node_that_is_not_there_says_so(page: Page, sign_in: SignIn) -> None:
    sign_in("/network/12D3KooWnobody")
    expect(page.get_by_role("alert").first).to_contain_text("12D3KooWnobody")
