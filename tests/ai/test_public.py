import subprocess
import sys
from types import ModuleType

import mainspring.ai


def test_the_area_shows_what_it_lists_and_nothing_else():
    shown = {
        name for name, value in vars(mainspring.ai).items() if name[0] != "_" and not isinstance(value, ModuleType)
    }
    assert shown == set(mainspring.ai.__all__)


def test_importing_the_area_brings_no_web_framework_and_no_database():
    heavy = "{'fastapi', 'starlette', 'sqlalchemy', 'tiktoken'}"
    code = f"import sys, mainspring.ai; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
