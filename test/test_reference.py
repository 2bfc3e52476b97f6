# SPDX-License-Identifier: Apache-2.0
"""What the code cites is in the documentation, and what the documentation cites is in the code.

The pages of the nodes are held by ros/test_lifecycle.py.
"""

import ast
import re

import pytest

from jepa_wm_ros.errors import FaultCode
from support.paths import ROOT

CITED = re.compile(r'doc/reference/models\.md\s+(?:sections?\s+)?(\d[\d., and]*)')
TROUBLE = ROOT / 'doc' / 'how_to' / 'troubleshooting.md'
LEAST_SHARE = 0.5  # of a quoted message that the code itself says; the rest are values


def test_every_section_the_code_cites_is_in_the_reference():
    page = (ROOT / 'doc' / 'reference' / 'models.md').read_text()
    sections = set(re.findall(r'^#+ ([\d.]+?)\.? ', page, re.MULTILINE))
    cited = {}
    for path in [*(ROOT / 'jepa_wm_ros').rglob('*.py'), *(ROOT / 'test').rglob('*.py')]:
        for numbers in CITED.findall(path.read_text()):
            for number in re.findall(r'\d+(?:\.\d+)?', numbers):
                cited.setdefault(number, str(path.relative_to(ROOT)))
    assert len(cited) > 8
    assert {number: place for number, place in cited.items() if number not in sections} == {}


def test_every_code_has_its_place_in_the_troubleshooting():
    headings = re.findall(r'^### ([A-Z_]+) \((\d+)\)$', TROUBLE.read_text(), re.MULTILINE)
    assert [(name, int(number)) for name, number in headings] == [
        (code.name, code.value) for code in FaultCode
    ]


def quoted() -> list[str]:
    """Messages that the troubleshooting quotes: its indented lines."""
    lines = TROUBLE.read_text().splitlines()
    return [line.strip() for line in lines if line.startswith('    ') and line.strip()]


@pytest.fixture(scope='module')
def said() -> list[list[str | None]]:
    """The parts of every text of the code that could be a message; None stands for a value."""
    texts = []
    for path in (ROOT / 'jepa_wm_ros').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, 'value', '') for part in node.values]
                texts.append([part if isinstance(part, str) else None for part in parts])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append([node.value])
    return [parts for parts in texts if any(parts)]


def _share(parts: list[str | None], message: str) -> float:
    """Of the message that is the text's own, where its values may be anything; 0 where it is not
    that text.
    """
    known = [part for part in parts if part]
    if not all(part in message for part in known):  # soon told, and mostly so
        return 0.0
    pattern = ''.join('.*' if part is None else re.escape(part) for part in parts)
    return sum(map(len, known)) / len(message) if re.search(pattern, message) else 0.0


@pytest.mark.parametrize('message', quoted())
def test_every_message_it_quotes_is_one_of_the_code(message, said):
    assert max(_share(parts, message) for parts in said) >= LEAST_SHARE


def test_every_interface_is_shown():
    shown = (ROOT / 'doc' / 'reference' / 'messages.md').read_text()
    for folder in ('action', 'msg', 'srv'):
        for path in (ROOT / 'jepa_wm_msgs' / folder).iterdir():
            assert f'../../{path.relative_to(ROOT)}\n' in shown
