"""Columns of the warehouse's Arrow answers as arrays."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def floats(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column of an Arrow answer as numbers."""
    return np.asarray(table[column], dtype=np.float64)
