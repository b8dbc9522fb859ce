"""Entries of a catalogue for the servers that people use: TOML with values to be filled in.

Ports, health paths and arguments are what those projects document. Their images are named by a tag: `neurogrid models pin`
replaces it by the digest that it stands for.
"""

import json
from dataclasses import dataclass
from importlib import resources
from string import Template


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """A template; sizes are what the entry has where nobody says."""

    about: str
    image: str
    source_example: str
    vram_gb: float
    size_gb: float


TEMPLATES: dict[str, TemplateInfo] = {
    "vllm": TemplateInfo(
        "vLLM: texts", "vllm/vllm-openai:latest", "meta-llama/Llama-3.1-8B-Instruct", 24, 16.1
    ),
    "sglang": TemplateInfo(
        "SGLang: texts", "lmsysorg/sglang:latest", "Qwen/Qwen2.5-7B-Instruct", 24, 15.3
    ),
    "llamacpp": TemplateInfo(
        "llama.cpp: texts, of quantised models",
        "ghcr.io/ggml-org/llama.cpp:server-cuda",
        "bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        8,
        2.1,
    ),
    "tgi": TemplateInfo(
        "Text Generation Inference: texts",
        "ghcr.io/huggingface/text-generation-inference:latest",
        "mistralai/Mistral-7B-Instruct-v0.3",
        24,
        14.5,
    ),
    "diffusers": TemplateInfo(
        "SGLang's server of diffusion models: images",
        "lmsysorg/sglang:latest",
        "Qwen/Qwen-Image",
        80,
        58,
    ),
    "faster-whisper": TemplateInfo(
        "Speaches: transcripts",
        "ghcr.io/speaches-ai/speaches:latest-cuda",
        "Systran/faster-whisper-large-v3",
        8,
        3.1,
    ),
    "embeddings": TemplateInfo(
        "Text Embeddings Inference: embeddings",
        "ghcr.io/huggingface/text-embeddings-inference:1.8",
        "BAAI/bge-large-en-v1.5",
        4,
        1.4,
    ),
}


def filled(
    template: str,
    *,
    model_id: str,
    source: str,
    name: str = "",
    image: str = "",
    vram_gb: float | None = None,
    size_gb: float | None = None,
) -> str:
    """An entry as TOML, with the template's own image and sizes where none are said. `parse_catalogue` judges it.

    Args:
        source: the weights, as their hub names them.
    """
    info = TEMPLATES[template]
    text = resources.files(__package__).joinpath(f"{template}.toml").read_text("utf-8")
    # Of a file in a repository the server gets the place where it will be.
    _, _, file = source.rpartition("/")
    return Template(text).substitute(
        id=_quoted(model_id),
        name=_quoted(name or model_id),
        image=_quoted(image or info.image),
        source=_quoted(source),
        file=_quoted(f"/inputs/{file}"),
        weights=_quoted(f"hf:{source}"),
        vram_gb=f"{info.vram_gb if vram_gb is None else vram_gb:g}",
        size_gb=f"{info.size_gb if size_gb is None else size_gb:g}",
    )


def _quoted(text: str) -> str:
    """A basic string of TOML, which has JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
