"""docs/metrics.md lists every metric with its type, labels and words, and nothing that is not there."""

import json
import re
import subprocess
import sys

from tests.house.tree import ROOT

ROW = re.compile(r"^\| `(candor_\w+)` \| (\w+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
# In a process of its own: other tests define metrics too.
PROBE = """
import json, orchestration.service.app, orchestration.service.bench.decide
from kernel import metrics
print(json.dumps([[m.name, m.kind, ", ".join(m.labels) or "–", m.words] for m in metrics.described()]))
"""


def test_the_documented_metrics_are_the_metrics() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True)
    there = [tuple(one) for one in json.loads(done.stdout)]
    written = [tuple(part.strip() for part in row) for row in ROW.findall((ROOT / "docs" / "metrics.md").read_text())]
    assert written == there
    assert len(there) > 15
