"""How a unit is switched off inside a program.

A gate variable m of a unit is shared by all its positions and all samples. Every gate turns a pre-activation ``a`` on
``[l, u]`` into a `PreActivation`, the pair of expressions that an encoding needs, and the encoding never learns that
there was a gate:

* `ShiftGate`, the published one: ``a' = a − (1 − m) u⁺``, meaningful for fractional m too;
* `ExactGate`, for binary m: the same below, and stronger above, since ``z ≤ m`` already closes the unit.

`switch` gates an affine unit that has no ReLU behind it, and a unit that is active whenever it is on.
"""

from oamip.gates.base import Gate, PreActivation, plain
from oamip.gates.exact import ExactGate
from oamip.gates.shift import ShiftGate
from oamip.gates.switch import switch

__all__ = ["ExactGate", "Gate", "PreActivation", "ShiftGate", "plain", "switch"]
