"""docs/receipts.md has every item that `neurogrid verify` prints."""

import re
from pathlib import Path

from marketplace.story import honest_receipt
from neurogrid_marketplace.receipt import verify_receipt

PAGE = (Path(__file__).parent.parent / "docs/receipts.md").read_text()


def test_the_page_explains_every_item() -> None:
    table = PAGE.partition("## Line by line")[2].partition("\n## ")[0]
    explained = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    printed = {item.name for item in verify_receipt(honest_receipt()).items}
    assert explained == {*printed, "files"}
