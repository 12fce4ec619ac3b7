"""A seeded world whose truth is known, and its first screen."""
