"""The public surface described: one OpenAPI document, and a page to read it on."""
