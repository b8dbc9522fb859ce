"""Amounts of SOL, times and counts, as people read them."""

from datetime import UTC, datetime


def sol(lamports: int) -> str:
    """``0.02``: lamports as SOL, without trailing zeros."""
    whole, fraction = divmod(lamports, 10**9)
    digits = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"


def moment(unix_s: int) -> str:
    """``2026-11-28 20:15:00 UTC``: the chain knows no other zone."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"Unix second {unix_s}"


def duration(seconds: int) -> str:
    """``60 d``, ``1 d 3 h``, ``59 s``: the two largest units."""
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def counted(number: int, word: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
