"""A look at the text of a model file, before a parser that forgives too much sees it.

Each scan gives the names of the columns that the file declares, and refuses by name and line what the parser would pass
over, misread, or not understand.
"""

from oamip.solving.scanning.lp import scan_lp
from oamip.solving.scanning.mps import scan_mps

__all__ = ["scan_lp", "scan_mps"]
