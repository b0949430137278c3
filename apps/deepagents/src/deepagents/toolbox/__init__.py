"""The tools that agents can be given, and the model that answers."""

from ._dependencies import Tools
from ._module import module
from ._toolbox import Toolbox, load_tools

__all__ = ["Toolbox", "Tools", "load_tools", "module"]
