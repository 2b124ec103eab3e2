"""The customers and firings of the tests of campaigns and triggers serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "realtime", "notifications"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
