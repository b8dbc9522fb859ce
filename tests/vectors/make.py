"""Write the test vectors of the protocol: ``python -m vectors.make`` with ``tests`` on the path.

Whoever writes a compatible peer in another language checks it against the files beside this one;
docs/protocol.md says what they mean. `test_vectors` fails when they are not what the code gives, and
tests/interop/test_vectors.py when our own JavaScript does not give them, too.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace import base58
from neurogrid_marketplace.advert import (
    ADVERT_LIFETIME_MAX_MS,
    check_advert,
    make_advert,
    meeting_place,
    parse_advert,
    provider_key,
    signed_bytes,
)
from neurogrid_marketplace.attributes import NODE, NodeFacts
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.canonical import Json, canonical_bytes, sha256_hex
from neurogrid_marketplace.challenge import Challenge, ChallengeDevice
from neurogrid_marketplace.challenge_arithmetic import tile, walk_end, words
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import MalformedMessage, RemoteError, UnknownMessage
from neurogrid_marketplace.exposure import must_pause, signable_micro_usdc
from neurogrid_marketplace.fields import PUNCTUAL_PERMILLE, plain
from neurogrid_marketplace.gang import Apart, Gang
from neurogrid_marketplace.judgement import met_by_node, narrowed
from neurogrid_marketplace.matching import NEUTRAL_WEIGHT, POOL_SIZE, place_of, pool, sample
from neurogrid_marketplace.messages import (
    Accept,
    Award,
    Event,
    Meter,
    VoucherMessage,
    parse_body,
)
from neurogrid_marketplace.money import cost_micro_usdc, format_usdc
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.receipt import escrow_job_id, verify_receipt
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_marketplace.sealed_file import CHUNK_BYTES, FileSealer
from neurogrid_marketplace.voucher import Voucher
from neurogrid_marketplace.wire import encode_frame

from .gang_network import gang_network
from .lease_story import (
    DOMAIN,
    ESCROW_SEQUENCE,
    GENESIS_HASH,
    GIB,
    JOB,
    LEASE_ID,
    MARKET,
    NETWORK,
    tell,
)
from .parties import COORDINATOR, PARTIES, VOUCHER_SIGNER, WINNER, party

FOLDER = Path(__file__).parent

# Each kind of value with each operator, met and just missed.
CONDITIONS = (
    "region = eu-west and region != us and region in (eu-north, eu-west) and region not in (us)",
    "region ~ EU and region !~ north and region = EU-WEST",
    "ram >= 32GiB and ram > 32GiB and ram <= 34359738368B and ram < 32GiB and ram = 32GiB",
    "gpu.driver >= 550.54 and gpu.driver < 550.100 and gpu.driver = 550.54.14.0",
    "image.present has python:3.12 and image.present lacks python:3.12 and model.present lacks a",
    "privacy has sealed_inputs and runtime has runsc and enforcement = watched",
    "price.hour <= 0.600001USDC and price.hour < 0.600001USDC and price.total = 0.100001USDC",
    "gpu.model ~ rtx and gpu.memory >= 20GB",
    "gpu.model ~ t4 and gpu.memory >= 20GB",
    "gpu.compute_capability >= 8.9 or region = us",
    "gpu.memory >= 80GB or region = eu-west",
    "gpu.count = 2 and cpu.cores >= 8 and cpu.cores > 8 and disk >= 100GiB",
)


def files() -> dict[str, bytes]:
    """File name -> content, as the code gives it now."""
    documents: dict[str, Json] = {
        "keys.json": _keys(),
        "canonical.json": _canonical(),
        "messages.json": _messages(),
        "versions.json": _versions(),
        "vouchers.json": _vouchers(),
        "auctions.json": _auctions(),
        "sampling.json": _sampling(),
        "conditions.json": _conditions(),
        "money.json": _money(),
        "sealed.json": _sealed(),
        "challenge.json": _challenge(),
        "adverts.json": _adverts(),
        "gang_network.json": gang_network(),
    }
    made = {
        name: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        for name, document in documents.items()
    }
    receipt = tell().receipt
    verify_receipt(receipt)
    # Byte for byte the file that a client gets; it has only this form.
    return made | {"receipt.json": receipt}


def _keys() -> Json:
    texts = (b"", b"\0", b"\0\0\1", b"hello world", bytes(range(32)), b"\xff" * 64)
    return {
        "parties": [
            {
                "name": who.name,
                "seed_hex": who.seed.hex(),
                "public_key_hex": who.public_key.hex(),
                "peer_id": who.peer_id,
                "address": who.address,
            }
            for who in PARTIES
        ],
        "base58": [{"hex": data.hex(), "text": base58.encode(data)} for data in texts],
        "network": {
            "genesis_hash": GENESIS_HASH,
            "program_id": str(MARKET.program_id),
            "network": NETWORK,
        },
    }


def _adverts() -> Json:
    """One good advert, and what a stranger may make of it."""
    now_ms = 1_800_000_000_000
    home, other = (
        f"/ip4/192.0.2.{number}/tcp/4001/p2p/{who.peer_id}"
        for number, who in ((7, COORDINATOR), (8, WINNER))
    )
    advert = make_advert(
        COORDINATOR.sign,
        network=NETWORK,
        coordinator=COORDINATOR.peer_id,
        addresses=(home, f"/dns/coordinator.example.org/tcp/4001/p2p/{COORDINATOR.peer_id}"),
        now_ms=now_ms,
    )
    good = plain(advert)
    long = now_ms + ADVERT_LIFETIME_MAX_MS + 1
    refused: list[tuple[str, dict[str, Json], int]] = [
        ("another address", {"addresses": [home]}, now_ms),
        ("an address of somebody else", {"addresses": [home, other]}, now_ms),
        ("somebody else's name", {"coordinator": WINNER.peer_id}, now_ms),
        ("another network", {"network": "ng-0000000000000000"}, now_ms),
        ("a later end", {"expires_at_ms": advert.expires_at_ms + 1}, now_ms),
        ("a lifetime of more than seven days", {"expires_at_ms": long}, now_ms),
        ("no addresses", {"addresses": []}, now_ms),
        ("nine addresses", {"addresses": [home] * 9}, now_ms),
        ("another version", {"version": 2}, now_ms),
        ("a field more", {"later": 1}, now_ms),
        ("over", {}, advert.expires_at_ms),
        ("not yet issued", {}, now_ms - 120_001),
    ]
    for why, changes, at_ms in refused:
        try:
            check_advert(parse_advert({**good, **changes}), NETWORK, at_ms)
        except RemoteError:
            continue
        raise AssertionError(f"taken in spite of {why}")
    return {
        "network": NETWORK,
        "meeting_place": meeting_place(NETWORK),
        "provider_key_hex": provider_key(NETWORK).hex(),
        "now_ms": now_ms,
        "advert": good,
        "signed_text": signed_bytes(advert).decode(),
        "frame_hex": encode_frame({"adverts": [good]}).hex(),
        "refused": [
            {"why": why, "advert": {**good, **changes}, "now_ms": at_ms}
            for why, changes, at_ms in refused
        ],
    }


def _canonical() -> Json:
    values: tuple[Json, ...] = (
        {},
        {"b": 1, "a": [True, False, None], "B": -7, "_": 2**53 - 1, "a_": {}},
        'quote " backslash \\ slash / tab \t newline \n return \r bell \x07 escape \x1b delete \x7f',
        "grüße, 世界 😀 \u2028",
        [[], [[]], 0],
    )
    return {
        "accepted": [
            {
                "value": value,
                "text": canonical_bytes(value).decode(),
                "sha256": sha256_hex(value),
            }
            for value in values
        ],
        "refused": [
            {"json": "1.5", "why": "a fraction"},
            {"json": "1.0", "why": "written as a fraction"},
            {"json": '{"ü": 1}', "why": "a key that is not ASCII"},
            {"json": "[" * 18 + "]" * 18, "why": "nested deeper than 16"},
            {"json": '"\\ud800"', "why": "a lone surrogate"},
        ],
    }


def _messages() -> Json:
    return [
        {
            "protocol": stream.protocol,
            "sender": "coordinator" if envelope.sender != stream.node.peer_id else name,
            "recipient": name if envelope.sender != stream.node.peer_id else "coordinator",
            "envelope": envelope.to_dict(),
            "signed_text": _signed_text(envelope),
            "envelope_hash": envelope.hash(),
            "message_hash": _message_hash(envelope),
            # A map's order is free on the wire; this is one of many frames of this envelope.
            "frame_hex": encode_frame(dict(envelope.to_dict())).hex(),
        }
        for stream in tell().streams
        for name in (stream.node.name,)
        for envelope in stream.said
    ]


def _versions() -> Json:
    """What a peer of this version makes of what a later one says."""
    meter: dict[str, Json] = {"lease_id": LEASE_ID, "metered_ms": 1, "cumulative_micro_usdc": 2}
    cases: tuple[tuple[str, dict[str, Json]], ...] = (
        ("meter", meter),
        ("meter", meter | {"later": {"deep": [1]}}),
        ("meter", meter | {"later": 1, "critical": ["lease_id"]}),
        ("meter", meter | {"later": 1, "critical": ["later"]}),
        ("meter", meter | {"critical": "later"}),
        ("meter", meter | {"critical": ["metered_ms"] * 17}),
        ("rumour", {"lease_id": LEASE_ID}),
        ("rumour", {"lease_id": LEASE_ID, "critical": ["rumour"]}),
        ("rumour", {"lease_id": LEASE_ID, "critical": ["lease_id"]}),
    )
    return [{"type": kind, "body": body, "verdict": _verdict(kind, body)} for kind, body in cases]


def _verdict(kind: str, body: dict[str, Json]) -> str:
    try:
        parse_body(kind, body)
    except UnknownMessage:
        return "passed over"
    except MalformedMessage:
        return "refused"
    return "taken"


def _signed_text(envelope: Envelope) -> str:
    """As docs/protocol.md says it, written a second time on purpose."""
    fields = {key: value for key, value in envelope.to_dict().items() if key != "signature"}
    text = f"neurogrid:{envelope.type}:v{envelope.version}\0" + canonical_bytes(fields).decode()
    joined = text.encode() + bytes.fromhex(envelope.signature)
    assert hashlib.sha256(joined).hexdigest() == envelope.hash()
    return text


def _message_hash(envelope: Envelope) -> str | None:
    message = parse_body(envelope.type, envelope.body)
    if isinstance(message, Demand | Award | Accept | Event | Meter | VoucherMessage):
        return message.hash()
    return None


def _vouchers() -> Json:
    escrow = tell().voucher.escrow
    vouchers = [
        Voucher(DOMAIN, escrow, ESCROW_SEQUENCE, amount) for amount in (0, 1, 8_831, 2**64 - 1)
    ]
    return {
        "lease_id": LEASE_ID,
        "escrow_job_id_hex": escrow_job_id(LEASE_ID).hex(),
        "escrow": base58.encode(escrow),
        "voucher_signer": VOUCHER_SIGNER.name,
        "vouchers": [
            {
                "domain": str(voucher.domain),
                "sequence": str(voucher.sequence),
                "cumulative_micro_usdc": str(voucher.cumulative_micro_usdc),
                "message_hex": voucher.message().hex(),
                "signature_hex": VOUCHER_SIGNER.sign(voucher.message()).hex(),
            }
            for voucher in vouchers
        ],
    }


# Name of the auction -> the maximum price, then each node's price, time to start and, where they are
# not 1000 and its own, its start factor and whose wallet it has.
_AUCTIONS: dict[str, tuple[int, dict[str, tuple[int, int] | tuple[int, int, int, str]]]] = {
    "nobody bids": (100_000, {}),
    "a lone bid is paid itself": (100_000, {"a": (20_000, 400)}),
    "the winner is paid the second score": (100_000, {"a": (20_000, 0), "b": (30_000, 0)}),
    "waiting counts for both": (100_000, {"a": (20_000, 30_000), "b": (22_000, 500)}),
    "a rounded waiting part": (99_999, {"a": (20_000, 333), "b": (20_001, 1)}),
    "never above the maximum": (100_000, {"a": (20_000, 0), "b": (99_000, 120_000)}),
    "above the maximum is no bid": (100_000, {"a": (100_001, 0), "b": (100_000, 0)}),
    "a factor counts a start as what it took": (
        100_000,
        {"a": (20_000, 400, 2_500, "a"), "b": (20_050, 400)},
    ),
    "no time at all counts as a millisecond": (
        100_000,
        {"a": (20_000, 0, 5_000_000, "a"), "b": (20_400, 0)},
    ),
    "a second node of the same wallet is not second": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0)},
    ),
    "two nodes of one wallet alone are paid themselves": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a")},
    ),
    "a tie goes to the smaller peer id": (100_000, dict.fromkeys("abcd", (20_000, 0))),
    "all of a gang are paid the first that lost": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 500), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "an owner's second seat is paid the second that lost": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "apart by wallet an owner has one seat": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "too few for a gang are paid their bids": (100_000, {"a": (20_000, 0)}),
}
# Those that sell several seats.
_GANGS = {
    "all of a gang are paid the first that lost": Gang(2),
    "an owner's second seat is paid the second that lost": Gang(2),
    "apart by wallet an owner has one seat": Gang(2, Apart.WALLET),
    "too few for a gang are paid their bids": Gang(2),
}


def _auctions() -> Json:
    found: list[Json] = []
    for name, (maximum, bids) in _AUCTIONS.items():
        nodes = {who: party(who) for who in bids}
        gang = _GANGS.get(name)
        auction = Auction(maximum, frozenset(who.peer_id for who in nodes.values()), gang)
        factors: dict[str, int] = {}
        shown: list[Json] = []
        for who, (price, start_ms, *other) in bids.items():
            node = nodes[who]
            factor, owner = other or (PUNCTUAL_PERMILLE, who)
            assert isinstance(factor, int)
            wallet = party(str(owner)).address
            bid = Bid("demand_" + "0" * 32, "0" * 64, price, start_ms, 0, wallet)
            auction.bid(node.peer_id, bid, sha256_hex(who))
            factors[node.peer_id] = factor
            shown.append(
                {
                    "node_id": node.peer_id,
                    "wallet": wallet,
                    "price_micro_usdc_per_hour": price,
                    "start_ms": start_ms,
                    "start_factor_permille": factor,
                }
            )
        found.append(
            {
                "name": name,
                "max_price_micro_usdc_per_hour": maximum,
                "gang": None if gang is None else plain(gang),
                "bids": shown,
                "ranking": [
                    {
                        "node_id": ranked.node_id,
                        "score": ranked.score,
                        "award_price_micro_usdc_per_hour": ranked.award_price_micro_usdc_per_hour,
                    }
                    for ranked in auction.ranking(factors)
                ],
            }
        )
    return found


def _sampling() -> Json:
    weights = {f"node-{number}": (1, 250, 500, 1000)[number % 4] for number in range(20)}
    offers = _offers(20)
    many = _offers(POOL_SIZE + 16)
    by_id = {party(name).peer_id: weight for name, weight in weights.items()}
    demand_id = "demand_" + "3c" * 16
    digest = hashlib.blake2b(f"{demand_id}:{offers[0].node_id}".encode(), digest_size=8)
    return {
        "demand_id": demand_id,
        "neutral_weight": NEUTRAL_WEIGHT,
        "nodes": [{"node_id": offer.node_id, "weight": by_id[offer.node_id]} for offer in offers],
        "digest_of_the_first_hex": digest.hexdigest(),
        "first_eight": [o.node_id for o in sample(offers, demand_id, weights=by_id)],
        "first_sixteen": [o.node_id for o in sample(offers, demand_id, size=16, weights=by_id)],
        "first_eight_without_weights": [o.node_id for o in sample(offers, demand_id)],
        "larger_market": {
            "place_of_the_demand_hex": f"{place_of(demand_id)[0]:016x}",
            "places_hex": {o.node_id: f"{place_of(o.node_id)[0]:016x}" for o in many},
            "pool": [o.node_id for o in pool(many, demand_id)],
            "first_eight_without_weights": [o.node_id for o in sample(many, demand_id)],
        },
    }


def _conditions() -> Json:
    """A machine with two GPUs, and what of a demand's conditions it meets."""
    gpus = (
        Gpu("GPU-1", "NVIDIA T4", 16 * GIB, "7.5"),
        Gpu("GPU-2", "NVIDIA GeForce RTX 4090", 24 * GIB, "8.9"),
    )
    room = Capacity(8_000, 32 * GIB, 100 * GIB, gpus)
    offer = replace(
        _offers(1)[0],
        region="eu-west",
        total=room,
        free=room,
        prices=PriceList(base_micro_usdc_per_hour=600_001),
        images=("python:3.12",),
        gpu_driver="550.54.14",
        runtimes=("runc",),
        privacy=("sealed_inputs",),
    )
    demand = Demand(
        demand_id="demand_" + "4d" * 16,
        job_hash="0" * 64,
        requirements=Requirements(gpu_count=1),
        image="python:3.12",
        input_bytes=0,
        max_price_micro_usdc_per_hour=10**6,
        timeout_s=600,
        bid_window_ms=250,
        voucher_interval_s=30,
        dead_after_s=45,
    )
    judged: list[Json] = []
    for text in CONDITIONS:
        asked = replace(demand, where=read_conditions(text, NODE))
        facts = NodeFacts(offer, asked)
        where = plain(asked)["where"]
        gpu_uuids: list[Json] = [gpu.uuid for gpu in narrowed(offer.total, facts).gpus]
        judged.append(
            {
                "text": text,
                "where": where,
                "met": [met_by_node(clause, facts) for clause in asked.where],
                "gpus": gpu_uuids,
            }
        )
    return {"offer": plain(offer), "demand": plain(demand), "judged": judged}


def _offers(count: int) -> list[Offer]:
    room = Capacity(1000, GIB, GIB)
    nodes = [party(f"node-{number}") for number in range(count)]
    return [Offer(o.peer_id, o.address, "v", "v", room, room, PriceList()) for o in nodes]


def _money() -> Json:
    prices = PriceList(1_000, 20_001, 5_003, 600_000)
    needs = (
        Requirements(),
        Requirements(cpu_millis=1, memory_bytes=1, gpu_count=0),
        Requirements(cpu_millis=2_500, memory_bytes=3 * GIB, gpu_count=2),
    )
    costs = ((0, 1), (1, 1), (3_600_000, 1), (3_600_001, 1), (600_000, 42_500), (7, 3_599_999))
    return {
        "costs": [
            {
                "price_micro_usdc_per_hour": price,
                "metered_ms": metered_ms,
                "cost_micro_usdc": cost_micro_usdc(price, metered_ms),
            }
            for price, metered_ms in costs
        ],
        "quotes": [
            {
                "prices": plain(prices),
                "requirements": plain(need),
                "price_micro_usdc_per_hour": prices.quote(need),
            }
            for need in needs
        ],
        "signable": [
            {
                "price_micro_usdc_per_hour": 3_600_000,
                "max_cost_micro_usdc": 60_000,
                "metered_ms": metered_ms,
                "elapsed_ms": elapsed_ms,
                "signable_micro_usdc": signable_micro_usdc(
                    3_600_000, 60_000, metered_ms, elapsed_ms
                ),
            }
            for metered_ms, elapsed_ms in ((30_000, 31_000), (30_000, 20_000), (90_000, 90_000))
        ],
        "pauses": [
            {
                "price_micro_usdc_per_hour": 3_600_000,
                "metered_ms": metered_ms,
                "voucher_micro_usdc": held,
                "max_unpaid_ms": 60_000,
                "must_pause": must_pause(3_600_000, metered_ms, held, 60_000),
            }
            for metered_ms, held in ((60_000, 0), (60_001, 0), (90_000, 30_000), (90_001, 30_000))
        ],
        "texts": [
            {"micro_usdc": amount, "text": format_usdc(amount)}
            for amount in (0, 1, 10_000, 123_456, 1_000_000, 1_230_000, 10**12)
        ],
    }


# HPKE draws a key for each wrapping, so this one was made once; the test of the vectors opens it.
_WRAPPED_KEY = (
    "cbfcfa96634d58baafac15623bd354f8a5a3ae6b10849543876ca355b23bce199193d267e774faf0"
    "9375889193c29dc2b81a5c0c9a888217c7184a42eb66346decf848e200038d4980fb77a4abcadc7a"
)


def _sealed() -> Json:
    content_key = hashlib.sha256(b"content key").digest()
    private_key = hashlib.sha256(b"sealing key").digest()
    public_key = X25519PrivateKey.from_private_bytes(private_key).public_key()
    # Empty, short, and of two chunks.
    texts = (("", 1), ("grüße, 世界\n", 1), ("x", CHUNK_BYTES + 1))
    files: list[Json] = []
    for number, (text, times) in enumerate(texts):
        plain = text.encode() * times
        sealer = FileSealer(content_key, hashlib.sha256(f"salt {number}".encode()).digest())
        sealed = sealer.header
        for at in range(0, len(plain) or 1, CHUNK_BYTES):
            is_last = at + CHUNK_BYTES >= len(plain)
            sealed += sealer.seal(plain[at : at + CHUNK_BYTES], is_last=is_last)
        files.append({"plain_text": text, "times": times, "sealed_hex": sealed.hex()})
    return {
        "content_key_hex": content_key.hex(),
        "files": files,
        "key": {
            "private_key_hex": private_key.hex(),
            "sealing_key": public_key.public_bytes_raw().hex(),
            "lease_id": LEASE_ID,
            "node_id": WINNER.peer_id,
            "job_hash": JOB.hash(),
            "wrapped_key": _WRAPPED_KEY,
        },
    }


def _challenge() -> Json:
    devices = (
        ChallengeDevice("GPU-00000001-1111-2222-3333-444444444444", "a GPU", 24 * GIB, 20, 4),
        ChallengeDevice("cpu", "CPU", GIB, 9, 3, 8),
    )
    asked = Challenge(
        "challenge_" + "1" * 32, WINNER.peer_id, "2" * 64, 2, 7, devices, deadline_ms=30_000
    )
    return {
        "challenge": plain(asked),
        "command": list(asked.job().command),
        "devices": [
            {
                "first_words": list(words(asked.key(place), 0, 4)),
                "first_tile_sha256": sha256_hex(tile(asked.key(place), 0, asked.rounds)),
                "walk_ends": [
                    walk_end(
                        asked.key(place), number, tiles=device.tiles, steps=7, rounds=asked.rounds
                    )
                    for number in range(device.walks)
                ],
            }
            for place, device in enumerate(devices)
        ],
    }


def main() -> None:
    """Write the files."""
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
