"""The schema history of DeepAgents."""
