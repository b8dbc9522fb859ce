"""A person's way through the dashboard, with a job that really runs and is really paid."""

import re

from playwright.sync_api import Page, expect

from acceptance.network import JOB_IMAGE, Devnet
from dashboard.conftest import SignIn
from neurogrid_marketplace.receipt import verify_receipt


def test_a_person_submits_watches_pays_verifies_and_chats_and_the_provider_reads_its_earnings(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    provider_key = market.network.provider_api_key
    assert provider_key
    sign_in("/submit")
    page.get_by_label("Image", exact=True).fill(JOB_IMAGE)
    page.get_by_label("Command", exact=True).fill("sh -c 'echo seen; sleep 2'")
    page.get_by_label("Name", exact=True).fill("whole story")
    page.get_by_label("Processor cores").fill("0.5")
    page.get_by_label("Memory, GB", exact=True).fill("0.2")
    page.get_by_label("Disk, GB").fill("0.05")
    page.get_by_label("Time limit, minutes").fill("1")
    # The first node's owner is the provider whose earnings are read in the end.
    page.get_by_label("Where", exact=True).fill(f"node.id = {market.network.nodes[0].peer_id}")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", name="whole story")).to_be_visible()
    expect(page.get_by_role("table", name="Bids for lease")).to_contain_text("won")
    expect(page.get_by_role("log")).to_have_text("seen")
    task_id = page.url.rsplit("/", 1)[-1]
    market.until_settled(task_id)
    expect(page.get_by_text("settled", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.get_by_text("The receipt is valid.")).to_be_visible()

    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("button", name="Try bard-1m").click()
    page.get_by_label("Tokens at most").fill("20")
    page.get_by_label("Message", exact=True).fill("O Romeo, Romeo")
    page.get_by_role("button", name="Send").click()
    answered = re.compile(r"tokens read, \d+ written, [\d.]+ USDC")
    talk = page.get_by_role("list", name="Conversation")
    expect(talk.get_by_text(answered)).to_be_visible(timeout=90_000)

    page.get_by_role("button", name="Sign out").click()
    sign_in("/provider", provider_key)
    jobs = page.get_by_role("region", name="Earnings").get_by_role("table", name="Jobs")
    # The transaction that the receipt names is the one that paid.
    paid_by = verify_receipt(market.client.tasks.receipt(task_id)).transaction
    row = jobs.get_by_role("row").filter(has=page.get_by_title(paid_by))
    expect(row).to_contain_text("settled")


def test_a_node_is_seen_at_work_and_then_paid_without_loading_anything_again(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    sign_in("/network")
    table = page.get_by_role("table", name="Nodes")
    expect(table.locator("tbody tr")).to_have_count(2)
    page.evaluate("() => { window.sameDocument = true; }")
    task = market.submit("sleep", "120")
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
