"""From a trained network, as its owner has it, to the graph that everything else works on.

`read` takes a torch module or an ONNX file. A module is copied, put into evaluation mode and double precision, and
traced with torch.fx, or with torch.export where torch.fx cannot follow. Every call of the trace becomes few nodes: a
layer, an average or a reshape is an affine node with one linear map, a sum or concatenation an affine node with
several; other activations than ReLU are affine and ReLU nodes that compute the same. Dropout and identities leave
nothing, and a softmax at the end is left out. The result is evaluated beside the module before it is handed out; the
user's own module is never touched.

What cannot be read is refused by name, with its place and what to write instead.

    >>> import torch
    >>> from torch import nn
    >>> from oamip.readers import read
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    >>> print(read(net, torch.zeros(1, 1, 6, 6)).summary())
    node   kind    shape  map          parameters  non-zeros  source
    input  Input   1×6×6                                      input
    n0     Affine  2×4×4  Convolution          20        288  0
    n1     ReLU    2×4×4                                      1
    n2     Max     2×2×2                                      2
    n3     Affine  8      Selection                        8  3
    n4     Affine  3      Dense                27         24  4
    total: 6 nodes, 47 parameters, 320 non-zeros, 32 ReLUs, 8 maxima

The files: `tracing` records the calls; `walk` goes through them and looks each one up in `operators`, whose rules live
in `layers`, `activations`, `pooling`, `shapes`, `slicing`, `arithmetic` and `scores`; a rule writes nodes into the
`draft`. The mathematics of activations is in `piecewise`, which knows no torch. `onnx_graph` reads ONNX files, and
needs no torch either. `saved` and `exported` bring modules back from files.
"""

from oamip.readers.reading import read

__all__ = ["read"]
