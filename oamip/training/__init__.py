"""Pruners that act while a network is trained.

Each is a `oamip.learning.Method`, so that the one loop (`oamip.learning.fit`) trains by it, with seeds, validation,
early stop, checkpoints and resumption; what it leaves goes straight into `oamip.prune`.

* `spr`: structured perspective regularisation (Cacciola, Frangioni, Li and Lodi, arXiv 2206.14056);
* `biobjective`: cross-entropy against the L1 norm (Reiners, Klamroth and Stiglmayr, arXiv 2008.13590);
* `by_method`: training by any method, its dead units cut off afterwards;
* `compare`: training small, pruning afterwards, and both, in one table.
"""
