"""``make demo``: the main job from submission to payment, a machine that is lost in mid-job, and a chat that is streamed."""

from .run import run_demo

__all__ = ["run_demo"]
