"""Methods that compare embeddings, or how the images of a batch lie to each other."""
