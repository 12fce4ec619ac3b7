"""The console: server-rendered pages for staff, readable without any script."""
