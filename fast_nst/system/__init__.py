"""Files, signals, memory and the machine. Never imports torch."""
