"""How one ReLU becomes rows.

An encoding takes a `PreActivation` whose rows are all unstable (``low < 0 < high``; the embedding has already settled
the others) and returns the expression of the activation. It knows no gate and no network.

    >>> import numpy as np
    >>> from oamip.encodings import BigM
    >>> from oamip.gates import plain
    >>> from oamip.program import Program
    >>> program = Program()
    >>> a = program.variables("a", 2, -1, 1)
    >>> h = BigM().relu(program, "unit", plain(a, -np.ones(2), np.ones(2)))
    >>> list(program.rows)
    ['unit_active', 'unit_on', 'unit_off']
"""

from oamip.encodings.base import Encoding
from oamip.encodings.bigm import BigM
from oamip.encodings.named import find_encoding

__all__ = ["BigM", "Encoding", "find_encoding"]
