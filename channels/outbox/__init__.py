"""The connector that writes email into a folder."""
