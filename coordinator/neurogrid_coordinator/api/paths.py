"""Where the native API lives."""

API = "/api/v1"
