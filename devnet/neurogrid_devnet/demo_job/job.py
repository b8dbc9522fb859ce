"""The demo's job: which flags of the world look alike, however they are turned?

This one file runs inside the job's container, from /inputs, with nothing but numpy and Pillow:

    python /inputs/job.py --inputs /inputs --outputs /outputs --turns 8

It reads ``/inputs/data.tar`` (flags/*.png and manual/*.txt) and writes

    flags.csv            each flag: checksum of its pixels, difference hash, edges, file size
    look-alikes.csv      pairs of flags that are alike when one is turned
    contact-sheet.png    all flags in small, by brightness
    words.csv            the manual's most frequent words
    report.json          totals, commonest colours, how a flag's detail predicts its file size

Anybody who runs it again on the same inputs, with the same releases of Python, numpy and Pillow,
gets the same bytes: sums are of integers, quotients are exact fractions, ties have an order, and
the picture is stored uncompressed, since compressors differ. Its work grows with ``--turns``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Integers = npt.NDArray[np.int64]

# The picture of a flag is 320 x 240 with a shaded frame around the cloth.
CLOTH_BOX = (32, 32, 288, 208)
# Stripes are alike whatever the proportions of their flags, so every cloth is made a square.
CLOTH_SIDE_PIXELS = 160
# What is compared: the mean colours of so many patches across the disc that stays in view when the
# square is turned.
PATCHES_ACROSS = 16
# Mean difference per colour channel, of 255: below the first, two flags are one design (France's
# and its territories'); below the second, they look alike.
SAME_BELOW = 2
ALIKE_BELOW = 24
LOOK_ALIKES_MAX = 200
LOOK_ALIKES_SHOWN = 5
THUMBNAIL_PIXELS = (48, 36)
THUMBNAILS_ACROSS = 16
COLOURS = 8
# Lloyd's method converges in about twenty rounds here; the bound only guards against a cycle.
COLOUR_ROUNDS_MAX = 200
WORDS_MAX = 500
# A difference of brightness that counts as an edge between neighbouring pixels.
EDGE_ABOVE = 24

# Which part of the whole, roughly in time, each stage takes.
FLAGS_SHARE, PAIRS_SHARE = 0.85, 0.95


@dataclass(frozen=True, slots=True)
class Flag:
    name: str
    file_bytes: int
    pixels_sha256: str
    difference_hash: int
    """64 bits: is each of 8 x 8 patches brighter than the one to its right?"""
    edges: int
    brightness: int
    thumbnail: Image.Image
    signatures: Integers
    """Colours of the patches at each turn, one row a turn."""


def progress(share: float, message: str) -> None:
    """Tell the node, which tells the client. The line's form is the node's; 0 <= ``share`` <= 1."""
    print(f"NEUROGRID_PROGRESS {share:.2f} {message}", flush=True)


def read_archive(archive: Path) -> tuple[dict[str, bytes], str]:
    """The flags' files by name, and the text of the manual."""
    flags: dict[str, bytes] = {}
    pages: list[str] = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            content = tar.extractfile(member)
            if content is None:
                continue
            path = PurePosixPath(member.name)
            if path.suffix == ".png":
                flags[path.stem] = content.read()
            else:
                pages.append(content.read().decode())
    return flags, "\n".join(pages)


def look_at(name: str, content: bytes, turns: int) -> Flag:
    """Everything about one flag that the comparisons need."""
    with Image.open(io.BytesIO(content)) as file:
        drawn = file.convert("RGBA")
    on_white = Image.new("RGBA", drawn.size, "white")
    on_white.alpha_composite(drawn)
    picture = on_white.convert("RGB")
    square = (CLOTH_SIDE_PIXELS, CLOTH_SIDE_PIXELS)
    cloth = picture.crop(CLOTH_BOX).resize(square, Image.Resampling.LANCZOS)
    grey = np.asarray(cloth.convert("L"), dtype=np.int64)
    small = np.asarray(cloth.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int64)
    bits = (small[:, :-1] > small[:, 1:]).ravel()
    across = np.abs(np.diff(grey, axis=1)) > EDGE_ABOVE
    down = np.abs(np.diff(grey, axis=0)) > EDGE_ABOVE
    return Flag(
        name=name,
        file_bytes=len(content),
        pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
        difference_hash=int("".join("1" if bit else "0" for bit in bits), 2),
        edges=int(across.sum() + down.sum()),
        brightness=int(grey.sum()),
        thumbnail=picture.resize(THUMBNAIL_PIXELS, Image.Resampling.LANCZOS),
        signatures=np.stack([signature(cloth, 360 * turn / turns) for turn in range(turns)]),
    )


def signature(cloth: Image.Image, degrees: float) -> Integers:
    """The colours of the patches inside the disc, after turning the cloth counter-clockwise."""
    turned = cloth.rotate(degrees, Image.Resampling.BICUBIC)
    patches = turned.resize((PATCHES_ACROSS, PATCHES_ACROSS), Image.Resampling.BOX)
    return np.asarray(patches, dtype=np.int64)[disc()].ravel()


def disc() -> npt.NDArray[np.bool_]:
    """Which patches lie wholly inside the circle that fits the square."""
    # Distances from the centre in half patches, so that all are integers.
    offsets = np.abs(2 * np.arange(PATCHES_ACROSS) + 1 - PATCHES_ACROSS) + 1
    squares: Integers = offsets.astype(np.int64) ** 2
    return squares[:, None] + squares[None, :] <= PATCHES_ACROSS**2


def designs(flags: list[Flag]) -> list[list[Flag]]:
    """The flags, those of one design together."""
    groups: list[list[Flag]] = []
    for flag in flags:
        upright = flag.signatures[0]
        for group in groups:
            if np.abs(group[0].signatures[0] - upright).sum() < SAME_BELOW * upright.size:
                group.append(flag)
                break
        else:
            groups.append([flag])
    return groups


def look_alikes(flags: list[Flag], turns: int) -> list[tuple[int, str, str, int]]:
    """(distance, flag, other, degrees the other is turned by) of pairs, the most alike first."""
    upright = np.stack([flag.signatures[0] for flag in flags])
    limit = ALIKE_BELOW * upright.shape[1]
    found = []
    for index, flag in enumerate(flags):
        # One row a turn, one column a flag that comes before this one.
        distances = np.stack(
            [np.abs(upright[:index] - turned).sum(1) for turned in flag.signatures]
        )
        for other in range(index):
            turn = int(distances[:, other].argmin())
            distance = int(distances[turn, other])
            if distance < limit:
                found.append((distance, flags[other].name, flag.name, 360 * turn // turns))
    return sorted(found)[:LOOK_ALIKES_MAX]


def common_colours(flags: list[Flag]) -> list[dict[str, Any]]:
    """The colours that sum up all thumbnails best (k-means in integers), the commonest first."""
    pixels = np.concatenate([np.asarray(flag.thumbnail).reshape(-1, 3) for flag in flags])
    # 32 shades a channel tell all colours apart that a person does, and are a tenth of the work.
    shades = pixels.astype(np.int64) // 8 * 8 + 4
    colours, weights = np.unique(shades, axis=0, return_counts=True)
    # Start from the colours that are commonest when each channel has four shades.
    coarse: Counter[tuple[int, ...]] = Counter()
    for colour, weight in zip(colours // 64, weights, strict=True):
        coarse[tuple(int(channel) for channel in colour)] += int(weight)
    ranked = sorted(coarse, key=lambda shade: (-coarse[shade], shade))[:COLOURS]
    centres = np.array(ranked, dtype=np.int64) * 64 + 32
    nearest = np.zeros(len(colours), dtype=np.int64)
    for _ in range(COLOUR_ROUNDS_MAX):
        distances = np.stack([((colours - centre) ** 2).sum(axis=1) for centre in centres])
        nearest = distances.argmin(axis=0)
        moved = centres.copy()
        for index in range(len(centres)):
            members = nearest == index
            if (weight := int(weights[members].sum())) > 0:
                moved[index] = (colours[members] * weights[members, None]).sum(axis=0) // weight
        if np.array_equal(moved, centres):
            break
        centres = moved
    shares = [(int(weights[nearest == index].sum()), index) for index in range(len(centres))]
    return [
        {"colour": "#" + "".join(f"{channel:02x}" for channel in centres[index]), "pixels": weight}
        for weight, index in sorted(shares, reverse=True)
    ]


def line_through(points: list[tuple[int, int]]) -> dict[str, str]:
    """The least-squares line ``y = intercept + slope * x``: exact, written to six decimals."""
    n = len(points)
    sum_x, sum_y = sum(x for x, _ in points), sum(y for _, y in points)
    # n^2 times the variances and the covariance.
    var_x = n * sum(x * x for x, _ in points) - sum_x**2
    var_y = n * sum(y * y for _, y in points) - sum_y**2
    cov = n * sum(x * y for x, y in points) - sum_x * sum_y
    slope = Fraction(cov, var_x)
    return {
        "slope": decimal(slope),
        "intercept": decimal((sum_y - slope * sum_x) / n),
        "r_squared": decimal(Fraction(cov**2, var_x * var_y)),
    }


def decimal(value: Fraction) -> str:
    millionths = round(value * 10**6)  # exact: rounding a Fraction involves no float
    return (
        f"{'-' if millionths < 0 else ''}{abs(millionths) // 10**6}.{abs(millionths) % 10**6:06d}"
    )


def contact_sheet(flags: list[Flag]) -> Image.Image:
    width, height = THUMBNAIL_PIXELS
    rows = -(-len(flags) // THUMBNAILS_ACROSS)
    sheet = Image.new("RGB", (width * THUMBNAILS_ACROSS, height * rows), "white")
    for place, flag in enumerate(sorted(flags, key=lambda flag: (-flag.brightness, flag.name))):
        row, column = divmod(place, THUMBNAILS_ACROSS)
        sheet.paste(flag.thumbnail, (column * width, row * height))
    return sheet


def count_words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W\d_]{2,}", text.lower()))


def write_table(path: Path, header: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=8, help="how many ways each flag is turned")
    options = parser.parse_args()
    outputs: Path = options.outputs

    contents, manual = read_archive(options.inputs / "data.tar")
    print(
        f"{len(contents)} flags, {len(manual)} characters of manual, {options.turns} turns",
        flush=True,
    )
    flags = []
    for done, (name, content) in enumerate(contents.items(), start=1):
        flags.append(look_at(name, content, options.turns))
        if done % 8 == 0 or done == len(contents):
            progress(
                FLAGS_SHARE * done / len(contents), f"looked at {done} of {len(contents)} flags"
            )

    groups = designs(flags)
    pairs = look_alikes([group[0] for group in groups], options.turns)
    for _, name, other, degrees in pairs[:LOOK_ALIKES_SHOWN]:
        print(f"flag {other}, turned by {degrees} degrees, looks like {name}", flush=True)
    progress(PAIRS_SHARE, f"{len(groups)} designs, {len(pairs)} pairs look alike")

    words = count_words(manual)
    ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    write_table(
        outputs / "flags.csv",
        ("flag", "pixels_sha256", "difference_hash", "edges", "file_bytes"),
        (
            (f.name, f.pixels_sha256, f"{f.difference_hash:016x}", f.edges, f.file_bytes)
            for f in flags
        ),
    )
    write_table(outputs / "look-alikes.csv", ("distance", "flag", "other", "degrees"), iter(pairs))
    write_table(outputs / "words.csv", ("word", "count"), iter(ranked[:WORDS_MAX]))
    contact_sheet(flags).save(outputs / "contact-sheet.png", compress_level=0)
    report = {
        "flags": len(flags),
        "turns": options.turns,
        "same_design": [[flag.name for flag in group] for group in groups if len(group) > 1],
        "look_alikes": len(pairs),
        "colours": common_colours(flags),
        "file_bytes_by_edges": line_through([(flag.edges, flag.file_bytes) for flag in flags]),
        "words": words.total(),
        "distinct_words": len(words),
    }
    (outputs / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    progress(1.0, "done")


if __name__ == "__main__":
    main()
