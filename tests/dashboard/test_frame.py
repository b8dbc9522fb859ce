"""The frame: who comes in, how, and what stays of it."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, expect

from acceptance.network import Devnet
from dashboard.conftest import CheckAxe, Picture, SignIn


def test_a_wrong_key_is_refused_with_what_to_do(
    page: Page, address: str, check_axe: CheckAxe, picture: Picture
) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Sign in to NeuroGrid")).to_be_visible()
    check_axe()
    picture("sign-in")
    page.get_by_label("API key", exact=True).fill("ng_wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("whether the whole key was copied")
    assert page.evaluate("() => sessionStorage.length") == 0


def test_a_key_leads_to_the_page_that_was_asked_for_and_is_gone_after_signing_out(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    sign_in("/tasks?status=running")
    expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()
    assert page.url.endswith("/dashboard/tasks?status=running")
    kept = page.evaluate("() => [JSON.stringify(localStorage), document.cookie]")
    assert market.network.api_key not in "".join(kept)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to NeuroGrid")).to_be_visible()
    assert page.evaluate("() => JSON.stringify(sessionStorage)") == "{}"


def test_a_key_that_is_revoked_ends_the_session_and_another_goes_on_where_one_was(
    page: Page, sign_in: SignIn, market: Devnet
) -> None:
    asked = {"name": "for a moment", "scopes": ["read"], "roles": ["client"]}
    made = market.http.post("/api-keys", json=asked).json()["data"]
    sign_in("/network", made["secret"])
    navigation = page.get_by_role("navigation", name="Pages")
    expect(navigation.get_by_role("link", name="Tasks")).to_be_visible()
    # What the key may not is not offered.
    expect(navigation.get_by_role("link", name="Provider")).to_have_count(0)
    assert market.http.delete(f"/api-keys/{made['id']}").status_code == 200
    navigation.get_by_role("link", name="API keys").click()
    expect(page.get_by_text("Your key or sign-in has ended")).to_be_visible()
    page.get_by_label("API key", exact=True).fill(market.network.api_key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="API keys", level=1)).to_be_visible()


def _wallet(page: Page, market: Devnet, *, standard: bool) -> None:
    """Have the page find a browser wallet that signs with the client's real key."""
    numbers = bytes(json.loads(Path(market.network.client_keypair).read_text()))
    key = Ed25519PrivateKey.from_private_bytes(numbers[:32])

    def sign(message: str) -> str:
        return base64.b64encode(key.sign(base64.b64decode(message))).decode()

    page.expose_function("signForTest", sign)
    wallet = json.dumps(market.network.client_wallet)
    page.add_init_script(
        """
        const text = (bytes) => btoa(String.fromCharCode(...bytes));
        const sign = async (message) => Uint8Array.from(atob(await signForTest(text(message))), (c) => c.charCodeAt(0));
        """
        + (
            f"""
            const account = {{address: {wallet}, chains: ['solana:mainnet'], features: ['solana:signMessage']}};
            const wallet = {{name: 'Test wallet', version: '1.0.0', accounts: [], features: {{
              'standard:connect': {{version: '1.0.0', connect: async () => ({{accounts: [account]}})}},
              'solana:signMessage': {{version: '1.0.0', signMessage: async ({{message}}) => [{{signedMessage: message, signature: await sign(message)}}]}},
            }}}};
            addEventListener('wallet-standard:app-ready', ({{detail}}) => detail.register(wallet));
            """
            if standard
            else f"""
            window.solana = {{connect: async () => ({{publicKey: {{toString: () => {wallet}}}}}),
              signMessage: async (message) => ({{signature: await sign(message)}})}};
            """
        )
    )


@pytest.mark.parametrize("standard", [True, False], ids=["Wallet Standard", "window.solana"])
def test_a_wallet_signs_its_owner_in_for_an_hour(
    page: Page, address: str, market: Devnet, standard: bool
) -> None:
    _wallet(page, market, standard=standard)
    page.goto(f"{address}/keys")
    page.get_by_role("button", name=re.compile("^Sign in with (Test|Browser) wallet$")).click()
    expect(page.get_by_role("heading", name="API keys", level=1)).to_be_visible()
    expect(page.get_by_text("Wallet, until")).to_be_visible()
    token = page.evaluate(
        "() => JSON.parse(sessionStorage.getItem('neurogrid.session')).credential"
    )
    asked = market.http.get("/api-keys/current", headers={"Authorization": f"Bearer {token}"})
    assert asked.json()["data"]["kind"] == "sign_in"
    assert asked.json()["data"]["scopes"] == ["read", "write"]


def test_everything_is_reached_by_keys_alone(page: Page, sign_in: SignIn) -> None:
    sign_in("/network")
    expect(page.get_by_role("heading", name="Network", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    page.locator("body").press("Home")
    skip = page.get_by_role("link", name="Skip to the page")
    skip.focus()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="API keys")
    link.focus()
    page.keyboard.press("Enter")
    # A screen reader says where one is now.
    expect(page.get_by_role("heading", name="API keys", level=1)).to_be_focused()
    assert page.title() == "API keys · NeuroGrid"


def test_the_first_page_loads_less_than_300_kb_and_nothing_of_another_host(
    page: Page, sign_in: SignIn, address: str
) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    hosts: set[str] = set()
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.on("request", lambda request: hosts.add(httpx.URL(request.url).netloc.decode()))
    sign_in("/network")
    expect(page.get_by_role("heading", name="Network", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert 50_000 < sum(sizes) < 300_000
    assert hosts == {httpx.URL(address).netloc.decode()}


def test_an_address_that_leads_nowhere_says_so(page: Page, sign_in: SignIn) -> None:
    sign_in("/nothing-here")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()


def test_the_theme_that_was_chosen_stays(page: Page, sign_in: SignIn) -> None:
    sign_in()
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) != light
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) != light


def test_every_page_lets_everybody_in_and_fits_a_telephone(
    page: Page, sign_in: SignIn, check_axe: CheckAxe, check_narrow: Callable[[], None]
) -> None:
    sign_in("/keys")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links.filter(has_text="Webhooks")).to_be_visible()
    for name in links.all_inner_texts():
        links.get_by_text(name, exact=True).click()
        expect(page.locator("main h1")).to_be_focused()
        expect(page.get_by_text("Loading…")).to_have_count(0)
        check_axe()
        check_narrow()


def test_on_a_telephone_the_navigation_is_behind_a_button(page: Page, sign_in: SignIn) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in()
    menu = page.get_by_role("button", name="Menu")
    link = page.get_by_role("link", name="API keys")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(link).to_be_hidden()
    menu.click()
    link.click()
    expect(page.get_by_role("heading", name="API keys", level=1)).to_be_focused()
    expect(link).to_be_hidden()
