"""Per-image optimisation: a picture's own pixels follow the gradient of the objective."""
