"""Mainspring: the production chassis for FastAPI."""

__version__ = "0.1.0"
