"""The native API under ``/api/v1``: documents 002 and 003, and our own beside them."""
