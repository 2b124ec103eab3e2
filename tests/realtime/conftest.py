"""The servers and customers of the tests of campaigns and notifications serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "conditions", "notifications"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
