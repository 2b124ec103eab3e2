"""Whatever is beside the tests of campaigns, triggers, notifications, messaging and channels is of use here as well."""

import sys
from pathlib import Path

for folder in ("campaigns", "realtime", "notifications", "messaging", "channels"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
