"""Everything a devnet may refuse; each message says what to do about it.

DevnetError
├── EngineMissing      no Docker engine answers
├── ImagesMissing      the job images are not built
├── PortTaken          somebody else listens there
├── AlreadyRuns        a devnet runs on this directory
├── NotRunning         none does
├── DirectoryUnusable  it holds something else, or cannot be written
├── StartFailed        a process did not come up; the end of its log follows
├── NoSuchNode         no node of that name
├── TermsInvalid       the program would refuse such a market
└── TermsFixed         the market has other terms already
"""


class DevnetError(Exception):
    """A devnet cannot do what was asked."""


class EngineMissing(DevnetError):
    """No Docker engine answers."""


class ImagesMissing(DevnetError):
    """The images for jobs are not on the engine."""


class PortTaken(DevnetError):
    """A port that was asked for is in use."""


class AlreadyRuns(DevnetError):
    """The directory is the one of a running devnet."""


class NotRunning(DevnetError):
    """No devnet runs on the directory."""


class DirectoryUnusable(DevnetError):
    """The directory holds something else, or cannot be written."""


class StartFailed(DevnetError):
    """A process of the devnet did not come up."""


class NoSuchNode(DevnetError):
    """No node has that name, number or peer id."""


class TermsInvalid(DevnetError):
    """There can be no market with such terms."""


class TermsFixed(DevnetError):
    """The market was made with other terms, and keeps them."""
