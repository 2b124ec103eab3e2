"""The mail servers and the waiting of the tests of campaigns and real time serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "realtime"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
