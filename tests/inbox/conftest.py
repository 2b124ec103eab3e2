"""The customers, campaigns and firings of other tests serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "channels", "messaging", "notifications", "realtime", "transactional"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
