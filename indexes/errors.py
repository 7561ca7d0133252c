"""What the user can put right. Every other exception is a bug and keeps its stack trace."""


class UserError(Exception):
    """A mistake in what the user gave: a file, a value, a command.

    The message is one line that names the wrong thing and says what to do next. The command line prints it
    and exits with 2; the service turns it into a 4xx problem document.
    """


class CollectionError(UserError):
    """A collection cannot be opened or used as asked."""


class CollectionLockedError(CollectionError):
    """Another process has the collection open for writing."""


class CollectionReplacedError(CollectionError):
    """Another collection has taken this one's place while it was served; a write has to be sent again."""


class ForeignModelError(CollectionError):
    """The collection was filled by another model, so its vectors live in another space."""


class StorageError(CollectionError):
    """The disk refused a write or a read (full, read-only, damaged). Nothing acknowledged before it is lost."""


class UnreachableError(CollectionError):
    """The server that holds the collection does not answer; whether a write was made is not known."""


class UnknownItemError(CollectionError):
    """No item has this id."""


class InvalidItemError(CollectionError):
    """An id, label, attribute or vector that the collection cannot hold."""


class RepeatedKeyError(InvalidItemError):
    """The name of a write (its Idempotency-Key) has been given to another write."""


class FilterError(UserError):
    """A filter that cannot be read; the message names the key."""
