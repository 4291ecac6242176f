"""The one exception that means: the user can mend this."""


class UsageError(ValueError):
    """Input, config or run directory that cannot be used as it is.

    The message is one or two sentences: what is wrong, where (file, row, key, value) and the cure.
    The command line prints it and exits with code 2; nothing on disk has been changed.
    """
