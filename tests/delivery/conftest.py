"""The mail servers, customers, firings and brands of other tests serve here too."""

import sys
from pathlib import Path

for neighbour in ("campaigns", "channels", "notifications", "realtime", "transactional"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))
