"""Making sure that what was written survives a power cut, for those who stand on this floor."""

from indexes.durable import sync

__all__ = ["sync"]
