"""Pure functions on tensors: statistics of features, colors and pixels."""
