"""A challenge: what a node is asked to show of the hardware that it offers, and by when.

All of a node's GPUs are asked at once (of a machine without one: its memory and cores): each has to fill
nearly all of its memory with numbers that only multiplying leads to, and to walk over them
(`challenge_arithmetic`). It is an ordinary task with an image of ours. An award names a job by its hash
alone, so that the node knows the seed when it is sent the job, and from then on its time runs.

What the numbers are chosen for: whoever stores only a part of the tiles has to work out the others again
whenever a walk comes by, ``visits`` times each on average. With half of the memory and 8 visits that is
4.5 times the work, and the deadline leaves no time for it. docs/challenges.md says what this shows, and
what it does not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from .challenge_arithmetic import DIMENSION, TILE_BYTES, Key, key_of
from .errors import InvalidValue
from .fields import Bytes, Id, Millis, PeerId, Sha256
from .job import Job
from .offer import Offer
from .resources import NVIDIA, Gpu, GpuModel, Requirements

CHALLENGE_IMAGE: Final = "neurogrid/challenge:1"
# Below /outputs.
ANSWER_FILE: Final = "answer.json"
# What stands for a GPU's UUID where there is none.
CPU: Final = "cpu"

_GPU_ROUNDS: Final = 4
# One keeps a machine with much memory and few cores within minutes.
_CPU_ROUNDS: Final = 1
# A walk may be checked on its own, so short ones are cheap to check; but each has to be long enough that
# it hardly misses a part of the memory that is not there: of a tenth, once in 850.
_STEPS_MIN: Final = 64
# Ends of walks take four bytes each, in all at most 2 MiB; with more memory walks get longer.
_WALKS_MAX: Final = 1 << 16
_WALKS_OF_ALL_MAX: Final = 1 << 19
_DEVICES_MAX: Final = 64
# Of a container that has no more to do than to drive GPUs: CUDA itself takes half a GiB of each.
_GPU_HOST_BYTES: Final = 1 << 30
_GPU_HOST_BYTES_EACH: Final = 1 << 29
# Beside the tiles: the runner, constants and walks; and the kernel's page tables, a 512th of the tiles.
_CPU_HOST_BYTES: Final = 64 << 20
_PAGE_TABLES_SHARE: Final = 256
_DISK_BYTES: Final = 64 << 20
_MODEL_CPU: Final = "CPU"

DeviceId = Annotated[str, Meta(pattern=r"^(cpu|GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast devices are expected to be at least.

    Attributes:
        model: text that occurs in a GPU's model, without regard to case; "gpu" for every other
            GPU, "cpu" for one core.
        millions_per_s: multiplications with their addition, 32 bits each into 64.
    """

    model: str
    millions_per_s: Annotated[int, Meta(ge=1, le=10**9)]


@dataclass(frozen=True, slots=True)
class ChallengeTerms:
    """How challenges are made.

    Attributes:
        fill_permille: of the memory that is offered. Drivers keep some to themselves.
        visits: how often a walk comes by each tile on average.
        allowance_ms: for all that is not work: starting a container, sending the answer.
        rates: the first whose model fits counts; the last two are of "gpu" and "cpu".
    """

    fill_permille: Annotated[int, Meta(ge=1, le=1000)]
    visits: Annotated[int, Meta(ge=1, le=64)]
    allowance_ms: Millis
    rates: tuple[Rate, ...]

    def multiplications_per_ms(self, device: "ChallengeDevice") -> int:
        """At least so many are expected of a device."""
        model = device.model.casefold()
        for rate in self.rates:
            wanted = rate.model.casefold()
            if device.is_cpu:
                if wanted == CPU:
                    return rate.millions_per_s * 1000 * device.threads
            elif wanted == "gpu" or (wanted != CPU and wanted in model):
                return rate.millions_per_s * 1000
        raise InvalidValue(f"no rate fits {device.model}: list one for gpu and one for cpu")


@dataclass(frozen=True, slots=True)
class ChallengeDevice:
    """What one device has to do.

    Attributes:
        uuid: a GPU's, or "cpu".
        memory_bytes: as offered.
        tiles: to be filled, then walked over; walks: so many.
        threads: of a CPU.
    """

    uuid: DeviceId
    model: GpuModel
    memory_bytes: Bytes
    tiles: Annotated[int, Meta(ge=1, le=2**28)]
    walks: Annotated[int, Meta(ge=1, le=_WALKS_MAX)]
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1

    @property
    def is_cpu(self) -> bool:
        """Whether it stands for a machine without a GPU."""
        return self.uuid == CPU

    @property
    def fill_bytes(self) -> int:
        """The memory it has to have."""
        return self.tiles * TILE_BYTES


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a node is asked, whole; `job` makes the task of it.

    Attributes:
        seed: what the devices' keys are drawn from.
        rounds: products of each tile; steps: of each walk.
        deadline_ms: from when the node is sent the job until its result is here.
    """

    challenge_id: Id
    node_id: PeerId
    seed: Sha256
    rounds: Annotated[int, Meta(ge=1, le=64)]
    steps: Annotated[int, Meta(ge=1, le=2**20)]
    devices: Annotated[tuple[ChallengeDevice, ...], Meta(min_length=1, max_length=_DEVICES_MAX)]
    deadline_ms: Annotated[int, Meta(ge=1, le=24 * 3_600_000)]

    def key(self, place: int) -> Key:
        """What the words of the device at this place are drawn by."""
        return key_of(self._key_text(place))

    def multiplications(self, place: int) -> int:
        """All that the device at this place has to do, without shortcuts."""
        return _multiplications(self.devices[place], self.rounds, self.steps)

    def job(self, image: str = CHALLENGE_IMAGE) -> Job:
        """The job that asks it."""
        devices = (
            f"{device.uuid},{device.tiles},{device.walks},{self._key_text(place)},{device.threads}"
            for place, device in enumerate(self.devices)
        )
        file = f"/outputs/{ANSWER_FILE}"
        return Job(image, (file, str(self.rounds), str(self.steps), *devices))

    def requirements(self) -> Requirements:
        """What the task needs: every GPU, or all memory and cores."""
        first = self.devices[0]
        if first.is_cpu:
            return Requirements(
                cpu_millis=first.threads * 1000,
                memory_bytes=min(first.memory_bytes, first.fill_bytes + _host_bytes(first)),
                disk_bytes=_DISK_BYTES,
            )
        return Requirements(
            cpu_millis=1000,
            memory_bytes=_GPU_HOST_BYTES + _GPU_HOST_BYTES_EACH * len(self.devices),
            disk_bytes=_DISK_BYTES,
            gpu_count=len(self.devices),
        )

    def _key_text(self, place: int) -> str:
        # The place counts too: a card that is listed twice has twice the work.
        text = f"neurogrid:challenge:{self.seed}:{place}:{self.devices[place].uuid}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def plan_challenge(offer: Offer, challenge_id: str, seed: str, terms: ChallengeTerms) -> Challenge:
    """What a node is asked to show of what it offers.

    Raises:
        InvalidValue: it offers what cannot be challenged; the message says what.
    """
    gpus = sorted(offer.total.gpus, key=lambda gpu: gpu.uuid)
    for gpu in gpus:
        # A part of a GPU has another kind of UUID, and the runner knows no maker but NVIDIA.
        if gpu.vendor != NVIDIA or not gpu.uuid.startswith("GPU-"):
            raise InvalidValue(f"{gpu.uuid} is no UUID of an NVIDIA GPU, and no other can be asked")
    if len(gpus) > _DEVICES_MAX:
        raise InvalidValue(f"it offers {len(gpus)} GPUs; at most {_DEVICES_MAX} can be asked")
    rounds = _GPU_ROUNDS if gpus else _CPU_ROUNDS
    tiles = [_tiles(gpu.memory_bytes, terms) for gpu in gpus] or [_tiles_of_host(offer, terms)]
    walks_max = min(_WALKS_MAX, _WALKS_OF_ALL_MAX // len(tiles))
    steps = max(_STEPS_MIN, -(-max(tiles) * terms.visits // walks_max))
    walks = [max(1, min(walks_max, -(-count * terms.visits // steps))) for count in tiles]
    if gpus:
        devices = tuple(map(_of_gpu, gpus, tiles, walks))
    else:
        threads = max(1, min(1024, offer.total.cpu_millis // 1000))
        memory = offer.total.memory_bytes
        devices = (ChallengeDevice(CPU, _MODEL_CPU, memory, tiles[0], walks[0], threads),)
    work_ms = max(
        _multiplications(device, rounds, steps) // terms.multiplications_per_ms(device)
        for device in devices
    )
    deadline_ms = terms.allowance_ms + work_ms + 1
    return Challenge(challenge_id, offer.node_id, seed, rounds, steps, devices, deadline_ms)


def draw(seed: str, purpose: str, count: int, below: int) -> Sequence[int]:
    """``count`` different numbers below a bound, or all of them, in the order in which they are drawn."""
    drawn: dict[int, None] = {}
    turn = 0
    while len(drawn) < min(count, below):
        digest = hashlib.sha256(f"{seed}:{purpose}:{turn}".encode()).digest()
        drawn[int.from_bytes(digest[:8], "big") % below] = None
        turn += 1
    return tuple(drawn)


def _of_gpu(gpu: Gpu, tiles: int, walks: int) -> ChallengeDevice:
    return ChallengeDevice(gpu.uuid, gpu.model, gpu.memory_bytes, tiles, walks)


def _tiles(memory_bytes: int, terms: ChallengeTerms) -> int:
    return max(1, memory_bytes * terms.fill_permille // 1000 // TILE_BYTES)


def _host_bytes(device: ChallengeDevice) -> int:
    return _CPU_HOST_BYTES + device.fill_bytes // _PAGE_TABLES_SHARE


def _tiles_of_host(offer: Offer, terms: ChallengeTerms) -> int:
    return _tiles(max(0, offer.total.memory_bytes - _CPU_HOST_BYTES), terms)


def _multiplications(device: ChallengeDevice, rounds: int, steps: int) -> int:
    fill = device.tiles * rounds * DIMENSION**3
    return fill + device.walks * steps * DIMENSION**2
