"""``make demo``: the main job from submission to payment, and a machine that is lost in mid-job."""

from .run import run_demo

__all__ = ["run_demo"]
