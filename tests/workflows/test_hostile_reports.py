"""Strings that came from a file reach the HTML page of a report as text, whatever they contain."""

from html.parser import HTMLParser

import pytest

from painn_ase.simulate.spectrum.report_files import page_of

ALLOWED = {"!doctype", "html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td", "img"}
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "</td></tr></table><iframe src=javascript:alert(1)>",
    "<!-- --><svg/onload=alert(1)>",
    "&lt;script&gt; &#60;b&#62;",
    "</style><body onload=alert(1)>",
]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text = set(), [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_report_shows_strings_of_files_as_text(attack, tmp_path):
    (tmp_path / "infrared.png").write_bytes(b"\x89PNG")
    rows = [(attack, "unit"), (attack, attack)]
    reader = Reader()
    reader.feed(page_of({"structure": attack, attack: attack}, {"infrared": rows}, tmp_path))
    assert reader.tags <= ALLOWED
    assert {name for name, _ in reader.attributes} <= {"lang", "charset", "alt", "src"}
    assert all(value.startswith("data:image/png;base64,") for name, value in reader.attributes if name == "src")
    assert reader.text.count(attack) >= 6  # in the title, the facts and the bands, to be read and not to be run
