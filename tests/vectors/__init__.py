"""The protocol's test vectors, and what makes them."""
