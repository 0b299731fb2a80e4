"""Pure functions on tensors: statistics of features, colours and pixels."""
