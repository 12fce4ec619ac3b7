"""The HTTP application and the command line."""
