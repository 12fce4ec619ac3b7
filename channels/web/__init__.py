"""The web: what stands on a visitor's page, the stream that tells when it moves, and the snippet that shows it."""
