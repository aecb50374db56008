"""Links from a page to a file outside of docs/: to the page that includes that file, if there is one, else plain code.

So the same Markdown reads well in the repository and on the site.
"""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]+)\)")
_INCLUDE = re.compile(r"```\{include\} (\S+)")


def included(docs: Path) -> dict[Path, Path]:
    """File outside of docs/ -> the page that includes it."""
    pages = [page for page in docs.rglob("*.md") if "_build" not in page.parts]
    found = ((page, match) for page in pages for match in _INCLUDE.findall(page.read_text(encoding="utf-8")))
    return {(page.parent / target).resolve(): page for page, target in found}


def rewrite(app: Any, name: str, source: list[str]) -> None:
    docs = Path(app.srcdir)
    here = Path(app.env.doc2path(name)).parent
    homes = included(docs)

    def link(match: re.Match[str]) -> str:
        target = (here / match[2]).resolve()
        if docs in target.parents:
            return match[0]
        if target in homes:
            return f"[{match[1]}](/{homes[target].relative_to(docs).as_posix()})"
        shown = target.relative_to(docs.parent).as_posix()
        return match[1] if match[1] == f"`{shown}`" else f"{match[1]} (`{shown}`)"

    source[0] = _LINK.sub(link, source[0])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
