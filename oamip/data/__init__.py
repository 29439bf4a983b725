"""Data in, in three disjoint parts: one trains, one scores, one reports.

A `Data` holds three times a `Split`: samples in float32, with class labels, targets or neither. `as_data` makes it out
of what a user has, and splits by seed what comes in one piece; `load` finds the data set that a command line names:

    as_data(object)   arrays or tensors, a mapping of them, a torch Dataset or DataLoader
    load(spec)        digits, mnist, fashion, cifar10, FILE.npz or package.module:factory

Numbers are taken as they are; `Data.normalised` scales them as in training. Everything that becomes a `Data` is checked
first, and what is wrong is told as a `DataError` that names the place.

    >>> import numpy as np
    >>> from oamip.data import as_data, choose
    >>> data = as_data((np.arange(40.0).reshape(20, 2), np.arange(20) % 2))
    >>> print(data.describe())
    data: 2 classes; one part given, split by seed 0 into 60/20/20, stratified by class
      train  12 samples of shape (2,)  trains, refits and fine-tunes
      score  4 samples of shape (2,)  scores; neither trains nor reports
      test   4 samples of shape (2,)  reports

`choose` draws a few samples of a part, as many of each class:

    >>> index = choose(data.train, 4, seed=0)
    >>> np.bincount(data.train.take(index).y)
    array([2, 2])

torch is never imported here: an object of torch can only arrive when somebody else has imported it.
"""

from oamip.data.factory import call_factory
from oamip.data.objects import as_data
from oamip.data.parts import Data, Split
from oamip.data.sources import load
from oamip.data.split import choose

__all__ = ["Data", "Split", "as_data", "call_factory", "choose", "load"]
