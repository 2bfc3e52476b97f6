# SPDX-License-Identifier: Apache-2.0
"""May this model move your arm? Ask a recording of it first; nothing moves, and no ROS is needed.

    python examples/evaluate_a_bag.py BAG OUT [MODEL] [PROFILE]

The planner must beat standing still and random actions clearly, in the paper's Action Score.
"""

import json
import sys
from pathlib import Path

from jepa_wm_ros.evaluation.offline.command import main as evaluate_bag

FAILED = 1  # exit status: nothing could be evaluated, and it has said why


def main(bag: str, out: str, model: str = 'jepa_wm_cell', profile: str = 'cell') -> str:
    if evaluate_bag([bag, '--out', out, '--model', model, '--planner', profile]) == FAILED:
        sys.exit(FAILED)
    results = json.loads(Path(out, 'metrics.json').read_text())['results']
    scores = {result['planner']: result['score'] for result in results}
    planned = scores.pop(profile)
    best = max(scores[name]['high'] for name in ('zero', 'random'))
    verdict = 'may be tried' if planned['low'] > best else 'must not move this arm'
    return f'{model} {verdict}: {planned["value"]:.1f} against {best:.1f} of doing nothing'


if __name__ == '__main__':
    print(main(*sys.argv[1:]))
