"""This machine as a seller: coordinators, bids, reservations."""
