"""The walk: choose, learn, schedule, serve."""
