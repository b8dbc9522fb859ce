"""Several coordinators on one PostgreSQL database: one leads, and the others answer clients beside it (docs/adr/0065)."""
