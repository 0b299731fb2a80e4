"""The settings of every command as plain values, and YAML configs. Never imports torch."""
