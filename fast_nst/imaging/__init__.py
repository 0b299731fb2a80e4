"""Picture and film files as arrays of pixels. Never imports torch."""
