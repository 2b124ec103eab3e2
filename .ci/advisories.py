"""Says what pip-audit found and which of it is accepted; exit code 1 for anything else, unless it is only to be told.

Accepted is what a line names by an id (of the advisory, or another name of it) with a reason behind it.
"""

import json
import sys
from pathlib import Path

answer, accepted, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def reasons(path: Path) -> dict[str, str]:
    """Ids with the reasons for which they are accepted."""
    lines = [line.strip() for line in path.read_text().splitlines()] if path.exists() else []
    named = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    lacking = [name for name, _, reason in named if not reason.strip()]
    if lacking:
        sys.exit(f"audit: {path} gives no reason for {', '.join(lacking)}")
    return {name: reason.strip() for name, _, reason in named}


def say(told: str) -> None:
    """One line for whoever reads the log."""
    sys.stderr.write(f"audit: {told}\n")


def main() -> int:
    """Print what is known of the dependencies; how many vulnerabilities are not accepted."""
    looked_up, known = json.loads(answer.read_text())["dependencies"], reasons(accepted)
    unmet, found = dict(known), 0
    for one in looked_up:
        for fault in one.get("vulns", ()):
            names = sorted({fault["id"], *fault.get("aliases", ())})
            reason = next((known[name] for name in names if name in known), "")
            unmet = {name: why for name, why in unmet.items() if name not in names}
            found += not reason
            told = (
                f"accepted: {reason}" if reason else f"mended in {', '.join(fault['fix_versions']) or 'no version yet'}"
            )
            say(f"{one['name']} {one['version']} has {', '.join(names)}; {told}")
    for name in unmet:
        say(f"{accepted} names {name}, which is not found any more")
    say(f"{len(looked_up)} dependencies looked up, {found} known vulnerabilities that are not accepted")
    if found and mode == "--tell":
        say("MEND OR ACCEPT THEM: `make audit` fails until then")
    return found


sys.exit(bool(main()) and mode != "--tell")
