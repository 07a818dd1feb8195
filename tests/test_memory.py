"""The allocator's settings are ours unless the user has some."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

CODE = "from data.memory import keep_freed_memory; print(keep_freed_memory())"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
@pytest.mark.parametrize(("variables", "told"), [({}, "True"), ({"MALLOC_TOP_PAD_": "1048576"}, "False")])
def test_settings_of_the_user_win(variables: dict[str, str], told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.strip() == told
