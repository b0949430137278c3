"""The page of DeepAgents."""

from .module import module

__all__ = ["module"]
