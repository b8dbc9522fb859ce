"""What an escrow paid is read from its transactions, whichever instructions they hold."""

import json
from pathlib import Path

from neurogrid_contracts.instructions import Tag
from neurogrid_coordinator.escrow_history import ESCROW_INDEX

IDL = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)


def test_every_instruction_that_names_an_escrow_is_known_and_where_it_names_it() -> None:
    """One that is missing hides what an escrow paid: a slashed one seemed to have paid its maximum."""
    found = {}
    for instruction in IDL["instructions"]:
        names = [account["name"] for account in instruction["accounts"]]
        if "escrow" in names:
            found[Tag(instruction["tag"])] = names.index("escrow")
    assert found == ESCROW_INDEX
