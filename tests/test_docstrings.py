"""Docstrings of public functions: Args, Returns and Raises, checked by pydoclint.

pydoclint needs a separate environment, because it requires `docstring-parser-fork`, whose files
replace those of `docstring-parser`. The test uses the command on PATH, as `.ci/run` installs it.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_public_names import PACKAGES, public

ROOT = Path(__file__).resolve().parents[1]
# pydoclint sees the `raise` statements of the function itself. Most errors are raised by the
# checks that it calls, so a "Raises" section may name more.
IGNORED = {"DOC502", "DOC503"}


def public_names():
    """Returns pairs of a file and a name that a package exports."""
    values = [value for package in PACKAGES for value in public(package).values()]
    return {
        (value.__module__.replace(".", "/"), value.__name__)
        for value in values
        if hasattr(value, "__module__") and hasattr(value, "__name__")
    }


def test_public_docstrings_are_complete():
    command = shutil.which("pydoclint")
    if command is None:
        pytest.skip("pydoclint is not on PATH")
    call = [command, "--quiet", "--config", ROOT / "pyproject.toml", "flowjax"]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT)
    names, file, found = public_names(), "", []
    lines = (done.stdout + done.stderr).splitlines()
    for line in lines:
        if head := re.match(r"(flowjax/\S+)\.py$", line):
            file = head[1].removesuffix("/__init__")
        elif finding := re.match(r"\s+\d+: (DOC\d+): \w+ `([\w.]+)`", line):
            code, name = finding.groups()
            method = name.partition(".")[2]
            is_public = (file, name.partition(".")[0]) in names and (
                method == "__init__" or not method.startswith("_")
            )
            if is_public and code not in IGNORED:
                found.append(f"{file}.py{line}")
    assert lines, "pydoclint printed nothing"
    assert not found, "\n".join(found)
