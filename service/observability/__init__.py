"""What the service tells of itself: the log, the metrics, and where the time of a request went."""
