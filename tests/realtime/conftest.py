"""The mail server and the customers of the tests of campaigns serve here too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))
