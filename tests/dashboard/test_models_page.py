"""Models, as a person tries them."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from dashboard.conftest import CheckAxe, Picture, SignIn


def test_a_model_answers_in_a_chat_which_says_what_that_cost_and_is_stopped(
    page: Page,
    sign_in: SignIn,
    check_axe: CheckAxe,
    check_narrow: Callable[[], None],
    picture: Picture,
) -> None:
    sign_in("/models?model=bard-1m")
    page.get_by_label("Temperature").fill("9")
    page.get_by_label("Message", exact=True).fill("O Romeo, Romeo")
    # What is wrong is said at its field, and nothing is sent.
    expect(page.get_by_text("Give a number from 0 to 2")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Tokens at most").fill("40")
    program = page.get_by_label("Program", exact=True)
    expect(program).to_contain_text('"content":"O Romeo, Romeo"')
    page.get_by_label("Message", exact=True).press("Control+Enter")
    talk = page.get_by_role("list", name="Conversation")
    expect(talk.get_by_text(re.compile(r"tokens read, \d+ written, [\d.]+ USDC"))).to_be_visible(
        timeout=90_000
    )
    expect(talk.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_text(re.compile(r"Answers so far: [\d.]+ USDC\."))).to_be_visible()
    check_axe()
    check_narrow()
    picture("models")
    page.get_by_label("Tokens at most").fill("400")
    page.get_by_label("Message", exact=True).fill("Tell me much")
    # The model writes faster than anybody clicks; a slow line leaves time to.
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    slow = {"offline": False, "latency": 0, "uploadThroughput": -1, "downloadThroughput": 2_000}
    devtools.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Writing…")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(talk.get_by_text(re.compile(r"Stopped after [\d.]+ s"))).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    devtools.send("Network.emulateNetworkConditions", {**slow, "downloadThroughput": -1})


def test_every_model_is_listed_with_its_price_and_one_is_chosen_by_a_button(
    page: Page, sign_in: SignIn
) -> None:
    sign_in("/models")
    table = page.get_by_role("table", name="Models")
    row = table.get_by_role("row").filter(has_text="bard-1m")
    expect(row).to_contain_text("USDC per million tokens written")
    row.get_by_role("button", name="Try bard-1m").click()
    expect(page.get_by_role("heading", name="Chat with bard-1m")).to_be_visible()
    assert page.url.endswith("?model=bard-1m")
