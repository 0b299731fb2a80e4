"""The objectives of training and of per-image optimization."""
