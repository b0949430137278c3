"""The schema history of the audit trail."""
