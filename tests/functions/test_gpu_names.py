"""GPUs by the names that people type."""

import pytest

from neurogrid.functions.gpu_names import gpu_need
from neurogrid_marketplace.resources import Gpu, Requirements


@pytest.mark.parametrize(
    ("typed", "model", "memory_gb"),
    [
        ("rtx-4090", "NVIDIA GeForce RTX 4090", 24),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", 24),
        ("geforce-rtx-4070-ti", "NVIDIA GeForce RTX 4070 Ti", 12),
        ("a100-80gb", "NVIDIA A100-SXM4-80GB", 80),
        ("h200", "NVIDIA H200", 141),
        ("tesla_t4", "Tesla T4", 16),
    ],
)
def test_a_typed_name_is_met_by_the_card_that_it_means(
    typed: str, model: str, memory_gb: int
) -> None:
    name, asked_gb = gpu_need(typed)
    need = Requirements(gpu_count=1, gpu_model=name, gpu_memory_bytes=asked_gb * 10**9)
    assert need.accepts(Gpu("GPU-1", model, memory_gb * 1024**3))


def test_a_smaller_card_of_the_same_model_is_not_met() -> None:
    name, asked_gb = gpu_need("a100-80gb")
    need = Requirements(gpu_count=1, gpu_model=name, gpu_memory_bytes=asked_gb * 10**9)
    assert not need.accepts(Gpu("GPU-1", "NVIDIA A100-SXM4-40GB", 40 * 1024**3))
