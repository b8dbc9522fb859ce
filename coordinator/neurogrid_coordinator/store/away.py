"""What is the matter with a database that cannot take a call now."""

DRIVER_MISSING = (
    "the driver of PostgreSQL is not installed: pip install 'neurogrid[postgresql]', or leave "
    "database.url empty"
)


class Overloaded(Exception):
    """The database cannot take this call now, and nothing was done; try again in a moment."""


class DatabaseAway(Overloaded):
    """The database's server does not answer, or lets us not in; the message says what it says."""


class OutcomeUnknown(Exception):
    """The server went away while it committed, and did not come back: look whether it happened."""


class DiskFailed(OutcomeUnknown):
    """What was written may not be on the disk: nothing is acknowledged any more, and the process has to end."""


class ServerUnfit(Exception):
    """The database's server can't be used; the message says why, and what to do."""


class DatabaseInUse(Exception):
    """Coordinators run on the database, and its schema cannot change under them."""


class LeadLost(Overloaded):
    """Another coordinator leads on this database now, or may soon: this one has to end, and nothing was done."""
