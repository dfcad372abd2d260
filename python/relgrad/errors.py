"""The one error of this package."""


class RelgradError(ValueError):
    """A file, an array or an option does not fit; the message says which, where, and how to mend it."""
