"""May I: purposes, legal bases, acts, signals, the gate, subject requests."""
