"""OpenAI's API at ``/v1``: exactly its fields, errors, headers and streams, for clients that are made for it (docs/openai.md)."""
