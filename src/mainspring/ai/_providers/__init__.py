"""Who answers: an OpenAI-compatible server, or rules that say that they are none."""

from ._openai import OpenAIProvider, usable_key
from ._scripted import ScriptedProvider

__all__ = ["OpenAIProvider", "ScriptedProvider", "usable_key"]
