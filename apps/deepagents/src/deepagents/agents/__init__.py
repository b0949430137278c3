"""Agents: who they are, what they may use, whose they are."""

from .dependencies import OwnAgent
from .models import Agent, AgentTool
from .module import module

__all__ = ["Agent", "AgentTool", "OwnAgent", "module"]
