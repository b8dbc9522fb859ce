"""The package as it is built, in Chromium: nothing of it needs Node.js."""

import shutil
from pathlib import Path

from playwright.sync_api import Route, sync_playwright

from coordinator.served import ServedWorld

_VECTORS = Path(__file__).parents[1] / "vectors"
_PAGE = "<!doctype html><title>a page</title>"
_PROGRAM = """
async ([key, receipt]) => {
    const { BoltClient, verifyReceipt } = await import('/sdk/index.js');
    // Where the page came from.
    const client = new BoltClient({ apiKey: key });
    const task = await client.submitTask({ model: 'small', input: 'To be,' });
    const { result } = await task.wait();
    const pieces = [];
    for await (const { phase } of client.tasks.updates(task.taskId)) pieces.push(phase);
    const { paidMicroUsdc } = await verifyReceipt(receipt);
    const changed = await verifyReceipt(receipt.replace('42500', '42501')).catch((error) => error.name);
    return [client.baseUrl, result, pieces.at(-1), paidMicroUsdc, changed];
}
"""


def test_a_page_asks_its_own_coordinator_and_verifies_a_receipt(
    package: Path, coordinator: ServedWorld, environment: dict[str, str]
) -> None:
    program = shutil.which("chromium")
    assert program is not None, "`make chromium` installs it"
    built = package / "dist"

    def serve(route: Route) -> None:
        name = route.request.url.partition("/sdk/")[2]
        if name == "page":
            route.fulfill(body=_PAGE, content_type="text/html")
        else:
            route.fulfill(path=built / name, content_type="text/javascript")

    receipt = (_VECTORS / "receipt.json").read_text()
    with sync_playwright() as playwright:
        # Root's Chromium has no sandbox; what it is shown is ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/sdk/**", serve)
        page.goto(f"{coordinator.address}/sdk/page")
        found = page.evaluate(_PROGRAM, [environment["NEUROGRID_API_KEY"], receipt])
        browser.close()
    address = coordinator.address
    assert found == [address, " or not to be", "completed", 8831, "ReceiptInvalidError"]
