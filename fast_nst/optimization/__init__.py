"""Per-image optimization: gradient descent on the pixels of one picture."""
