"""Pages of the site that lie beside docs: CHANGELOG, CONTRIBUTING and SECURITY, with links that fit their new place.

MkDocs calls the functions here by their names while it builds; mkdocs.yml names this file under `hooks`.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
# The site begins with docs/index.md instead.
README = "README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie in the repository's root."""
    for source, page in PAGES.items():
        text = LINK.sub(_from_root, (ROOT / source).read_text())
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links from docs to the root's pages lead to where they are on the site."""
    depth = page.file.src_uri.count("/")
    return LINK.sub(lambda link: _to_root(link[1], depth), markdown)


def _from_root(link: re.Match[str]) -> str:
    """A link of a page in the root, as it is from docs."""
    target = link[1]
    return PAGES.get(target, "index.md" if target == README else target.removeprefix("docs/"))


def _to_root(target: str, depth: int) -> str:
    """A link of a page in docs, so many folders down."""
    up = "../" * (depth + 1)
    if not target.startswith(up):
        return target
    name = target.removeprefix(up)
    return "../" * depth + ("index.md" if name == README else PAGES.get(name, target))
