"""Every public function has an Example that runs, and importing the flows stays light."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from devices import xla_flags
from grids import grid

import flowjax
import flowjax.bijectors
import flowjax.flows

MODULES = [
    module.name
    for module in pkgutil.walk_packages(flowjax.__path__, "flowjax.")
    if not module.name.endswith("__main__")
]
# Every public function of these has an example; of the packages, what they export.
LIBRARY = [
    importlib.import_module(f"flowjax.{name}")
    for name in (
        "fitting.fit",
        "fitting.passes",
        "fitting.rows",
        "fitting.validation",
        "saving.flow",
        "training",
        "training.dispatch",
        "training.evaluation",
        "training.loop",
        "training.optimizers",
        "training.released",
        "training.schedules",
        "training.step",
    )
]


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert not doctest.testmod(importlib.import_module(name)).failed


@pytest.mark.parametrize("package", [flowjax.bijectors, flowjax.flows, *LIBRARY], ids=str)
def test_every_public_function_has_an_example(package):
    here = [name for name in vars(package) if not name.startswith("_")]
    for name in getattr(package, "__all__", here):
        thing = getattr(package, name)
        own = hasattr(package, "__all__") or getattr(thing, "__module__", "") == package.__name__
        if inspect.isfunction(thing) and own:
            assert ">>> " in (inspect.getdoc(thing) or ""), name


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
# .ci/run executes the commands between these marks in a new environment.
INSTALL = re.compile(r"<!-- \w+ -->.*?<!-- end -->", re.DOTALL)


def readme_script():
    """Returns the code blocks of README.md as one Python script; `main` runs the commands."""
    lines = []
    for language, code in re.findall(r"```(\w+)\n(.*?)```", INSTALL.sub("", README), re.DOTALL):
        if language == "python":
            lines.append(code)
        elif "pip install" not in code:
            for line in code.splitlines():
                name, *argv = shlex.split(line, comments=True)
                assert name == "flowjax"
                lines.append(f"assert main({argv}) == 0, {line!r}")
    return "\n".join(lines)


def write_inputs(folder):
    """Writes the files that README.md names as the user's."""
    from flowjax.data.sample import sentences_file

    lines = [s for s in sentences_file().read_text("utf-8").splitlines() if 0 < len(s.split()) < 8]
    (folder / "sentences.txt").write_text("\n".join(lines[:20]) + "\n")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(60, 3)))
    pairs = "".join(f"a\tb\tc\td\t{i % 6}\tA man {i}.\tA dog {i}.\n" for i in range(9))
    for task, files in (("stsb", ["sts-dev.csv", "sts-test.csv"]), ("STS12", [])):
        (folder / "DATA" / task).mkdir(parents=True)
        for file in files:
            (folder / "DATA" / task / file).write_text(pairs)
    (folder / "DATA/STS12/STS.input.toy.txt").write_text("A cat.\tA dog.\n" * 2 + "One.\tTwo.\n")
    (folder / "DATA/STS12/STS.gs.toy.txt").write_text("1\n2\n5\n")


@pytest.mark.end_to_end
@pytest.mark.parametrize("times", grid([1, 2], slow=[2]))
def test_the_readme_runs_as_one_script(tmp_path, times):
    """Runs in a new process, because the tests have eight devices."""
    write_inputs(tmp_path)
    script = readme_script()
    assert script.count("main(") == 9 and "import flowjax" in script
    (tmp_path / "readme.py").write_text(script)
    run = (
        "from flowjax.commands.main import main\n"
        f"for _ in range({times}): exec(open('readme.py').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=tmp_path,
        env=os.environ | {"XLA_FLAGS": xla_flags(1), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        *("readme.py", "sentences.txt", "rows.npy", "DATA"),
        *("models", "runs", "report", "vectors.npy", "drawn.npy"),
    }


@pytest.mark.end_to_end
@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page):
    """The blocks of a page are one script; they assert their own results."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    exec(compile(code, page.name, "exec"), {"__name__": page.stem})


def test_links_of_the_readme_work_in_the_repository_and_on_pypi():
    script = runpy.run_path(str(ROOT / ".ci" / "links"))
    link, absolute = script["LINK"], script["absolute"]
    targets = [match[3] for match in link.finditer(README)]
    assert "docs/cone.png" in targets
    assert [target for target in targets if not (ROOT / target.partition("#")[0]).exists()] == []
    url = "https://github.com/o/n"
    text = absolute(README + "\n```\n[a](b)\n```\n", url + "/", "v1")
    assert [match[3] for match in link.finditer(text)] == ["b"]  # code stays
    assert f"]({url}/raw/v1/docs/cone.png)" in text and f"]({url}/blob/v1/docs/index.md)" in text
    assert absolute(text, url, "v2") == text


def test_the_reference_has_all_public_packages():
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = set(re.findall(r"automodule:: (\S+)", pages))
    public = {
        module.name
        for module in pkgutil.iter_modules(flowjax.__path__, "flowjax.")
        if module.ispkg and getattr(importlib.import_module(module.name), "__all__", ())
    }
    assert public - documented == set()
    objects = set(re.findall(r"auto(?:class|function|exception):: (\S+)", pages))
    names = {f"flowjax.{name}" for name in flowjax.__all__ if name != "__version__"}
    assert names - documented - objects - {"flowjax.ArraySource", "flowjax.compare"} == set()


def test_the_site_has_all_notebooks_and_pages():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = set(re.findall(r"(?m)^([\w/]+)$", index))
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "api").glob("*.md")]
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in files}
    pages |= {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert pages - {"index"} <= listed


def test_import_is_light():
    """jax, numpy and flax only: nothing that reads data, plots or trains."""
    code = (
        "import sys, flowjax.flows, flowjax.bijectors, flowjax.types;"
        "mine = {m for m in sys.modules if m.startswith('flowjax.')};"
        "own = [m for m in mine if m.split('.')[1] not in "
        "('types', 'errors', 'bijectors', 'flows', '_lazy', '_version', '_installation')];"
        "heavy = ('torch', 'tensorflow', 'transformers', 'matplotlib', 'tensorflow_datasets');"
        "print(own + [m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_bijectors_do_not_import_flows():
    code = "import sys, flowjax.bijectors; print([m for m in sys.modules if 'flowjax.flows' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
