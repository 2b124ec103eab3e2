"""Texts for files that people open in a spreadsheet, which would take some for formulas and carry them out."""

import pyarrow as pa
import pyarrow.compute as pc

# What a spreadsheet takes for a formula; numbers and phone numbers with a sign are none.
FORMULA = r"(?s)^(?:[=@\t\r]|[+-].*[^0-9 ().,/-])"


def without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows, with an apostrophe before each text that a spreadsheet would carry out (CWE-1236)."""
    columns = [_harmless(column) if pa.types.is_string(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _harmless(texts: pa.Array) -> pa.Array:
    is_formula = pc.fill_null(pc.match_substring_regex(texts, FORMULA), False)
    return (
        pc.if_else(is_formula, pc.binary_join_element_wise("'", texts, ""), texts)
        if pc.any(is_formula).as_py()
        else texts
    )
