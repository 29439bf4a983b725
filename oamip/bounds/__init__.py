"""Between which two numbers every value of a network lies, for all inputs of a box.

`Box` is a set of inputs: one interval per entry, for n boxes at once (n samples with their neighbourhoods). `interval`
carries boxes through a network and returns `Bounds`: node name → (lower, upper), each (n, *shape). Later passes only
intersect what they find with what is there, and `Bounds` remembers which pass set each number.

Bounds are *certified*: they are widened outward by more than all rounding in float64 can do, in the bounds and in the
network's own evaluation, so a big-M taken from them never cuts off the truth (underflow apart, below 1e-300).

    >>> import numpy as np
    >>> from oamip.bounds import Box, interval
    >>> from oamip.network import Affine, Dense, Input, Network, ReLU
    >>> net = Network()
    >>> x = net.add(Input("x", (2,), "x"))
    >>> a = net.add(Affine("a", (1,), "a", np.zeros(1)), (x, Dense(np.array([[1.0, -2.0]]), (2,))))
    >>> y = net.add(ReLU("y", (1,), "y"), (a, None))
    >>> net.outputs = (y,)
    >>> bounds = interval(net, Box.around([[3.0, 1.0]], 0.5))
    >>> lower, upper = bounds["a"]
    >>> print(lower.round(6), upper.round(6), lower < -0.5, upper > 2.5)
    [[-0.5]] [[2.5]] [[ True]] [[ True]]
    >>> bounds.stability(net)["y"]
    Stability(on=0, off=0, unstable=1)

With ``groups``, the bounds are *gated*: they hold for every choice of units that are switched off.

    >>> from oamip.network import find_groups
    >>> out = net.add(Affine("out", (1,), "out", np.ones(1)), (y, Dense(np.ones((1, 1)), (1,))))
    >>> interval(net, Box.of([[3.0, 1.0]], [[3.0, 1.0]]), find_groups(net))["out"][0].round(6)
    array([[2.]])
"""

from oamip.bounds.bounds import Bounds, Stability
from oamip.bounds.box import Box
from oamip.bounds.interval import interval

__all__ = ["Bounds", "Box", "Stability", "interval"]
