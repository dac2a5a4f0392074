"""The whole notebook: its sections, as Markdown and as one page that needs nothing but itself."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from markdown_it import MarkdownIt
from markupsafe import Markup

from evaluation.html import render
from evaluation.output import check_file, write_text, writing
from training.notebook import day1, day2, day3, day4, day5, day6, day7, served, summary
from training.notebook.language import Language
from training.notebook.parts import Plot, Section, plain
from training.notebook.records import Records

_SECTIONS = (day1, day2, day3, day4, day5, day6, day7, served, summary)
# In a file of its own an SVG has no page to take a colour from: a grey that shows on light and on dark.
_GREY = "#808080"


def sections(records: Records, lang: Language) -> list[Section]:
    """The days and the summary; a section that has nothing to say is left out."""
    found = [module.section(records, lang) for module in _SECTIONS]
    return [section for section in found if section.parts]


def markdown(found: Sequence[Section], lang: Language, plots: str | None = None) -> str:
    """The notebook as Markdown; `plots` is the folder, beside the file, that its pictures are in, None for no pictures."""
    parts = [f"# {lang('title')}", lang("intro")]
    for section in found:
        parts.append(f"## {section.title}")
        for part in section.parts:
            if isinstance(part, str):
                parts.append(part)
            elif plots is not None:
                # A name may hold a space or a bracket, which end a link.
                parts.append(f"![{plain(part.title)}]({quote(f'{plots}/{part.file}')})")
    return "\n\n".join(parts) + "\n"


def page(found: Sequence[Section], lang: Language) -> str:
    """The notebook as HTML with its plots inside; what records say is shown as text, never as markup."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    # A table wider than a narrow window is scrolled by itself, not the page with it.
    reader.add_render_rule("table_open", lambda *_: '<div class="table"><table>')
    reader.add_render_rule("table_close", lambda *_: "</table></div>")
    shown = [{"title": section.title, "parts": [_html(part, reader) for part in section.parts]} for section in found]
    intro = Markup(reader.render(lang("intro")))
    return render(Path(__file__).with_name("page.html"), {}, sections=shown, lang=lang, intro=intro)


def _html(part: str | Plot, reader: MarkdownIt) -> Markup:
    if isinstance(part, Plot):
        return Markup(f"<figure>{part.svg}</figure>")
    # The one tag that Markdown has no sign for inside a table.
    return Markup(f"<div>{reader.render(part)}</div>".replace("&lt;br&gt;", "<br>"))


def write(found: Sequence[Section], lang: Language, out: Path) -> list[Path]:
    """Writes `out` (Markdown), its pictures in a folder beside it, and the page under the same name (given the page's, the
    Markdown's ends with .md); the files to look at.

    Raises BadInput where one of them cannot be written.
    """
    html = out.with_suffix(".html")
    out = out.with_suffix(".md") if out == html else out
    for path in (out, html):
        check_file(path)
    folder = out.with_name(f"{out.stem}-plots")
    with writing(folder):
        _write_plots([part for section in found for part in section.parts if isinstance(part, Plot)], folder)
    write_text(out, markdown(found, lang, folder.name))
    write_text(html, page(found, lang))
    return [out, html]


def _write_plots(pictures: Sequence[Plot], folder: Path) -> None:
    """Into a folder of their own, which holds none of an earlier notebook."""
    shutil.rmtree(folder, ignore_errors=True)
    if pictures:
        folder.mkdir(parents=True)
    for plot in pictures:
        (folder / plot.file).write_text(plot.svg.replace("currentColor", _GREY), encoding="utf-8")
