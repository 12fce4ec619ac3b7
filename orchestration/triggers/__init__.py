"""Triggers: what sets a message off. See README.md."""
