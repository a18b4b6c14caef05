"""Say why a data set cannot be had, in one line that a command can print as it is."""


class DatasetError(RuntimeError):
    """The data set is not there, could not be fetched, or is not the one that the adapter was written for."""
