"""What an escrow paid is read from its transactions, whichever instructions they hold."""

import json
from pathlib import Path

from neurogrid_contracts.instructions import Tag
from neurogrid_marketplace.escrow_program import ESCROW_INDEX, EscrowTag

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


def test_the_rules_number_the_instructions_as_the_program_does() -> None:
    assert {tag.name: tag.value for tag in EscrowTag} == {
        tag.name: tag.value for tag in Tag if tag.value in ESCROW_INDEX
    }
