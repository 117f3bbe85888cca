"""A report of one flight that a person can send."""
