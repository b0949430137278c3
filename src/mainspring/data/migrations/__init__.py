"""The Alembic environment that all modules' migrations run in."""
