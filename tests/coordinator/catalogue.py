"""A catalogue of models, as small as may be."""

from neurogrid_marketplace.model_catalogue import parse_catalogue

CATALOGUE = parse_catalogue(
    """
[[model]]
id = "small"
aliases = ["gpt-small", "llama2-7b"]
name = "Small"
type = "text"
category = "generation"
description = "For tests."
licence = "none"
image = "neurogrid/small:1"
command = ["answer"]
timeout_s = 60
concurrency = 2
parameters = { size = "1M", context_length = 256, languages = ["en"] }
needs = { memory_gb = 0.25, cpu_cores = 2 }
price = { max_usdc_per_hour = "0.36", unit = "token", units_per_second = 10 }

[[model]]
id = "makers/large"
name = "Large"
type = "image"
category = "generation"
image = "neurogrid/large:1"
needs = { memory_gb = 1 }
price = { max_usdc_per_hour = "1" }

[[model]]
id = "ear"
name = "Ear"
type = "audio"
category = "transcription"
image = "neurogrid/ear:1"
needs = { memory_gb = 1 }
price = { max_usdc_per_hour = "1" }

[[model]]
id = "vectors"
name = "Vectors"
type = "embedding"
category = "embedding"
image = "neurogrid/vectors:1"
needs = { memory_gb = 0.5 }
price = { max_usdc_per_hour = "0.36" }

[[model]]
id = "talker"
# The names that document 001 prints.
aliases = ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"]
name = "Talker"
type = "text"
category = "chat"
image = "neurogrid/small:1"
needs = { memory_gb = 0.25 }
price = { max_usdc_per_hour = "0.36", unit = "token", units_per_second = 10 }

[[model]]
id = "huge"
name = "That no node of the tests' market can hold"
type = "text"
category = "chat"
image = "neurogrid/small:1"
needs = { memory_gb = 0.25, vram_gb = 1000 }
price = { max_usdc_per_hour = "0.36", unit = "token", units_per_second = 10 }
""",
    "tests",
)
