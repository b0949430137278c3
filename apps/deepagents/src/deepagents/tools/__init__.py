"""Tool plug-ins: each folder has a `processor.py` that defines `tool`, and its input and output schemas."""
