"""The schema history of idempotency keys."""
