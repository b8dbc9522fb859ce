"""OpenAI's API as data: what its requests have, which of it a model can do, and how answers are written. No I/O."""
