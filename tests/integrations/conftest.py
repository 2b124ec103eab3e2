"""The triggers and senders of the tests of real time serve here too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "realtime"))
