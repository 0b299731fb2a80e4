"""The two networks of Johnson et al. (2016): the one that is trained and the frozen one that judges it."""
