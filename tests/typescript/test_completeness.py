"""Which calls of the native API the TypeScript SDK has methods for: all, but for those that are named here."""

import asyncio
import re
from pathlib import Path

from typescript.write_schema import document

SOURCES = Path(__file__).parents[2] / "sdk/typescript/src/groups"
LEFT_ALONE = {
    # Where a node speaks that nobody can dial: nodes alone.
    "/provider/mailboxes",
    "/provider/mailboxes/{}",
    "/provider/mailboxes/{}/messages",
    "/provider/mailboxes/{}/streams",
    # Sockets beside a job, for a terminal or a program on the same machine.
    "/tasks/{}/exec",
    "/tasks/{}/port",
    # Sealed inputs need a key that is made before, and kept: `neurogrid submit --sealed`.
    "/tasks/{}/key",
    # Of a node while a job runs.
    "/artifacts/{}/checkpoint",
    # For whoever was given the link, without a key.
    "/links/{}",
}
# `/…` in quotation marks or back-ticks.
_PATH = re.compile(r"""['`](?:/api/v1)?(/[a-z][^'`\s]*)['`]""")


def test_every_native_call_has_a_method_or_is_named() -> None:
    paths = {
        re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1"))
        for path in asyncio.run(document())["paths"]
        if path.startswith("/api/v1/")
    }
    text = "".join(path.read_text() for path in sorted(SOURCES.glob("*.ts")))
    asked = {re.sub(r"\$\{[^}]*\}", "{}", found) for found in _PATH.findall(text)}
    # The names of files follow.
    asked |= {f"{each}{{}}" for each in asked if each.endswith("/")}
    # Ids of models have slashes, and are put together by hand.
    asked.add("/models/{}")
    assert paths - asked == LEFT_ALONE
