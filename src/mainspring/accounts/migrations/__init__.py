"""The schema history of accounts."""
