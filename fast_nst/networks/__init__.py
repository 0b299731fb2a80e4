"""The image transformation network and the loss networks, with their weights."""
