"""What waits for something, and the mail servers and campaigns of other tests, serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "realtime", "notifications"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
