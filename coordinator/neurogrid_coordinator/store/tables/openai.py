"""Files and batches of OpenAI's API: what its clients see of artifacts and of native batches."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from .base import metadata

# The bytes are an artifact of the account.
openai_files = Table(
    "openai_files",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
Index("openai_files_of_account", openai_files.c.account_id, openai_files.c.id)

# Stored before the native batch, whose own id (`batches.client_id`) is this one's `id`. `finished_at_ms`: when its answers
# were written into files.
openai_batches = Table(
    "openai_batches",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("input_file_id", Text, nullable=False),
    Column("input_sha256", Text, nullable=False),
    Column("metadata_json", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("cancelling_at_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
)
Index("openai_batches_of_account", openai_batches.c.account_id, openai_batches.c.id)
