"""The training of a network on styles, as a Lightning module with its callbacks and trainer."""
