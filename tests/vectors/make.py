"""Write the test vectors of the protocol: ``python -m vectors.make`` with ``tests`` on the path.

Whoever writes a compatible peer in another language checks it against the files beside this one;
docs/protocol.md says what they mean. `test_vectors` fails when they are not what the code gives, and
tests/interop/test_vectors.py when our own JavaScript does not give them, too.
"""

import json
from pathlib import Path

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.receipt import verify_receipt

from .challenge import challenge
from .files import checkpoints, sealed
from .gang_network import gang_network
from .identity import adverts, keys
from .job_stream import job_stream
from .lease_story import tell
from .market import auctions, conditions, sampling
from .messages import canonical, messages, messages_of_use, versions
from .payments import money, vouchers
from .signed_requests import signed_requests
from .use_story import tell_use, units

FOLDER = Path(__file__).parent


def files() -> dict[str, bytes]:
    """File name -> content, as the code gives it now."""
    documents: dict[str, Json] = {
        "keys.json": keys(),
        "canonical.json": canonical(),
        "messages.json": messages(),
        "messages_of_use.json": messages_of_use(),
        "units.json": units(),
        "versions.json": versions(),
        "vouchers.json": vouchers(),
        "auctions.json": auctions(),
        "sampling.json": sampling(),
        "conditions.json": conditions(),
        "money.json": money(),
        "sealed.json": sealed(),
        "challenge.json": challenge(),
        "adverts.json": adverts(),
        "gang_network.json": gang_network(),
        "checkpoints.json": checkpoints(),
        "job_stream.json": job_stream(),
        "signed_requests.json": signed_requests(),
    }
    made = {
        name: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        for name, document in documents.items()
    }
    receipts = {"receipt.json": tell().receipt, "receipt_of_use.json": tell_use().receipt}
    for receipt in receipts.values():
        verify_receipt(receipt)
    # Byte for byte the files that a client gets; they have only this form.
    return made | receipts


def main() -> None:
    """Write the files."""
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
