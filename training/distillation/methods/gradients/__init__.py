"""Methods that compare gradients with respect to the image."""
