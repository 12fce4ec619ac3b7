"""Whose is this: records, identifiers, people, and the linkage engine."""
