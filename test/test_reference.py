# SPDX-License-Identifier: Apache-2.0
"""What the code cites is there: every section of doc/reference.md it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CITED = re.compile(r'doc/reference\.md\s+(?:sections?\s+)?(\d[\d., and]*)')


def test_every_section_the_code_cites_is_in_the_reference():
    sections = set(
        re.findall(r'^#+ ([\d.]+?)\.? ', (ROOT / 'doc' / 'reference.md').read_text(), re.MULTILINE)
    )
    cited = {}
    for path in [*(ROOT / 'jepa_wm_ros').rglob('*.py'), *(ROOT / 'test').rglob('*.py')]:
        for numbers in CITED.findall(path.read_text()):
            for number in re.findall(r'\d+(?:\.\d+)?', numbers):
                cited.setdefault(number, str(path.relative_to(ROOT)))
    assert len(cited) > 8
    assert {number: place for number, place in cited.items() if number not in sections} == {}
