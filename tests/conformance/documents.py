"""The documents that are asked for, in the order of their numbers."""

from conformance import (
    document_000,
    document_001,
    document_002,
    document_003,
    document_003_provider,
    document_004,
)
from conformance.exchanges import Document
from conformance.sdk_calls import SdkDocument

DOCUMENTS: tuple[Document | SdkDocument, ...] = (
    document_000.DOCUMENT,
    document_001.DOCUMENT,
    document_002.DOCUMENT,
    document_003.DOCUMENT,
    document_003_provider.DOCUMENT,
    document_004.DOCUMENT,
)
