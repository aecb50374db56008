"""How the documentation site is built: `make docs`, warnings are errors."""

import sys
from pathlib import Path

from painn_ase import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "painn_ase"
author = "The painn_ase authors"
copyright = "The painn_ase authors, MIT licence"
version = release = __version__

extensions = [
    "myst_parser",
    "outside_links",
    "plain_docstrings",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxarg.ext",
]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "separated"
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "painn_ase"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
