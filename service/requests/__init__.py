"""What a request says, read once into typed values."""
