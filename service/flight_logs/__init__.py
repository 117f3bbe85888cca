"""Drones' own logs, one module a format, read to one type."""
