"""The mistakes a user of this package can make, beside those of `indexes.errors`."""

from indexes.errors import UserError

__all__ = ["BundleError", "DataError", "ImageError", "NetworkError", "UserError"]


class ImageError(UserError):
    """An image that cannot be decoded or is refused; the message says why."""


class DataError(UserError):
    """A data set, a manifest or an embeddings file that is not as it should be; the message names the file."""


class BundleError(UserError):
    """A model bundle that cannot be read: missing, damaged, or of another format version."""


class NetworkError(UserError):
    """A network that cannot be built as specified; the message names the field."""
