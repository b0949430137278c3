"""DeepAgents: agents with tools, executed, streamed and traced."""
