"""Which images come together in a batch."""
