"""Configuration of the documentation site: `sphinx-build -W docs docs/_build`."""

import shutil
from pathlib import Path

from flowjax._version import __version__

# Sphinx reads files below this folder only; the notebooks are those that users open.
here = Path(__file__).parent
shutil.copytree(here.parent / "notebooks", here / "notebooks", dirs_exist_ok=True)

project = "bert-flowjax"
author = "The bert-flowjax authors"
version = release = __version__
html_title = "bert-flowjax"
html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"home_page_in_toc": True, "show_toc_level": 2}

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed before they are committed
nb_merge_streams = True

default_role = "code"  # docstrings mark code with single backquotes
autodoc_default_options = {"members": True, "imported-members": True}
autoclass_content = "both"  # the arguments are documented in __init__
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of named tuples are members already
napoleon_custom_sections = [("Warns", "returns_style")]


def setup(app):
    """Escapes the help texts of the configs, which are plain text for the command line."""

    def escape(app, what, name, obj, options, lines):
        if name.startswith("flowjax.config."):
            lines[:] = [line.replace("*", r"\*").replace("|", r"\|") for line in lines]

    app.connect("autodoc-process-docstring", escape)
