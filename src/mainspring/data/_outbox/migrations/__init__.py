"""The schema history of the outbox."""
