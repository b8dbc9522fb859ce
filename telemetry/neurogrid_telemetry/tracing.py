"""Traces, as `[traces]` of a configuration wants them."""

from .traces import OFF, Traces, TraceSettings


class TracesMissing(Exception):
    """What sends traces is not installed; the message says how it is."""


def open_traces(settings: TraceSettings, service: str, instance: str, version: str) -> Traces:
    """Traces as the settings say.

    Args:
        service: the program; instance: which of those that run; both in every span.

    Raises:
        TracesMissing: they are wanted, and what sends them is not installed.
    """
    if not settings.endpoint:
        return OFF
    try:
        # It takes megabytes, which nobody pays who sends nothing.
        from .exported_traces import ExportedTraces
    except ModuleNotFoundError as error:
        raise TracesMissing(
            f"[traces] endpoint: {error.name} is missing; pip install 'neurogrid[traces]'"
        ) from error
    return ExportedTraces(settings.endpoint, service, instance, version)
