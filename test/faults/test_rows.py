# SPDX-License-Identifier: Apache-2.0
"""Every row of the fault table has a test."""

import re

from support.fault_rows import ROWS
from support.paths import ROOT

MARK = re.compile(r'mark\.fault\(([\d, ]+)\)')


def test_every_row_is_kept_by_a_test():
    named = {
        int(row)
        for path in (ROOT / 'test').rglob('test_*.py')
        for rows in MARK.findall(path.read_text())
        for row in rows.split(',')
        if row.strip()
    }
    assert named == set(ROWS), f'without a test: {sorted(set(ROWS) - named)}'
