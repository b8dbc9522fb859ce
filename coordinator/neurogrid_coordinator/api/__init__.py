"""The HTTP side: parse, call a service, present. What the product does is in `services`."""
