"""The pages of tasks, with jobs in real containers."""

import json
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from acceptance.network import JOB_IMAGE, Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def _describe(page: Page, command: str, name: str) -> None:
    page.get_by_label("Image", exact=True).fill(JOB_IMAGE)
    page.get_by_label("Command", exact=True).fill(command)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Processor cores").fill("0.5")
    page.get_by_label("Memory, GB", exact=True).fill("0.2")
    page.get_by_label("Disk, GB").fill("0.05")
    page.get_by_label("Time limit, minutes").fill("1")


def test_a_job_is_submitted_watched_and_paid_and_its_receipt_holds_unless_a_byte_is_changed(
    page: Page,
    sign_in: SignIn,
    market: Devnet,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/submit")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("Name the image, such as")).to_be_visible()
    _describe(page, "sh -c 'echo \"<b>hello</b>\"'", "by the form")
    expect(page.get_by_text("Expected in all")).to_be_visible()
    check_axe()
    check_narrow()
    picture("submit")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", name="by the form")).to_be_visible()
    # What a job writes is text.
    expect(page.get_by_role("log")).to_have_text("<b>hello</b>")
    market.until_settled(page.url.rsplit("/", 1)[-1])
    expect(page.get_by_text("settled", exact=True).first).to_be_visible()
    expect(page.get_by_role("table", name="Bids for lease")).to_contain_text("won")
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.get_by_text("The receipt is valid.")).to_be_visible()
    check_axe()
    check_narrow()
    picture("task")

    def tamper(route: Route) -> None:
        receipt = route.fetch().text()
        task_id = page.url.rsplit("/", 1)[-1]
        assert task_id in receipt
        paid = json.loads(receipt)
        assert paid
        route.fulfill(body=receipt.replace('"price_micro_usdc', '"price_micro_usdd', 1))

    page.route("**/receipt?*", tamper)
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("The receipt is valid.")).to_have_count(0)

    page.get_by_role("link", name="All tasks").click()
    page.get_by_label("Name has").fill("by the form")
    rows = page.get_by_role("table", name="Tasks").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("completed")
    check_axe()
    check_narrow()
    picture("tasks")


def test_explain_says_what_is_in_the_way(page: Page, sign_in: SignIn, check_axe: CheckAxe) -> None:
    sign_in("/explain")
    _describe(page, "true", "")
    page.get_by_label("Processor cores").fill("5000")
    expect(page.get_by_role("table", name="Nodes that could not")).to_be_visible()
    check_axe()
