"""Making sure that what was written survives a power cut, for those who stand on this floor."""

from indexes.durable import replacing, sync

__all__ = ["replacing", "sync"]
