"""Protection of CSV cells that a spreadsheet would run as a formula. Pure.

The export writes an apostrophe before such a cell, and the import removes it. A cell that has apostrophes of its
own before such a character gets one more, so every value comes back unchanged.
"""

import re

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA = r"^'*[-=+@\t\r]"
_PROTECTED = re.compile(r"'+[-=+@\t\r]")


def unprotected(cell: str) -> str:
    """Return the value of a cell that the export may have protected."""
    return cell[1:] if cell.startswith("'") and _PROTECTED.match(cell) else cell
