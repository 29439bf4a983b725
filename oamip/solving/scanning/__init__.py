"""The text of model files: LP files are read, MPS files looked at before a forgiving parser sees them.

Either way, what readers would pass over, misread, or understand differently is refused by name and line.
"""

from oamip.solving.scanning.lp import read_lp
from oamip.solving.scanning.mps import scan_mps

__all__ = ["read_lp", "scan_mps"]
