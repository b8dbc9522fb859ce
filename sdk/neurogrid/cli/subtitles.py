"""Subtitles: what was said and when, as SubRip and WebVTT have it.

Sources: WebVTT, W3C Candidate Recommendation of 4 April 2019; SubRip has no standard, and is as players read it.
"""

from collections.abc import Iterable

from ..models.catalogue import TranscriptSegment


def srt(segments: Iterable[TranscriptSegment]) -> str:
    """SubRip: numbered, with a comma in times."""
    return "".join(
        f"{number}\n{_span(each, ',')}\n{_line(each)}\n\n"
        for number, each in enumerate(segments, 1)
    )


def vtt(segments: Iterable[TranscriptSegment]) -> str:
    """WebVTT."""
    # What would be a tag or an entity there.
    lines = ((each, _line(each).replace("&", "&amp;").replace("<", "&lt;")) for each in segments)
    cues = "".join(
        f"{_span(each, '.')}\n{line.replace('-->', '--&gt;')}\n\n" for each, line in lines
    )
    return f"WEBVTT\n\n{cues}"


def _line(segment: TranscriptSegment) -> str:
    # An empty line would end the cue.
    return " ".join(segment.text.split())


def _span(segment: TranscriptSegment, mark: str) -> str:
    return f"{_time(segment.start, mark)} --> {_time(segment.end, mark)}"


def _time(seconds: float, mark: str) -> str:
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{mark}{ms % 1000:03}"
