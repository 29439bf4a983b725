"""What is asked of a network.

`embed` is the one place where a network enters a program. A formulation embeds, adds an objective and a budget, and
reads the answer; it is written once and runs on every backend and solver, because it only ever sees a callable
``solve(program, options)``. A procedure asks several such questions.
"""

from oamip.formulations.activations import Activations, Gates
from oamip.formulations.embedding import embed
from oamip.formulations.importance import Importance, ImportanceOptions
from oamip.formulations.importance_procedures import ImportanceByClass, ImportanceInSteps
from oamip.formulations.perspective import GroupFit, LayerFit, last_features
from oamip.formulations.protocol import Formulation, Procedure

__all__ = [
    "Activations",
    "Formulation",
    "Gates",
    "GroupFit",
    "Importance",
    "ImportanceByClass",
    "ImportanceInSteps",
    "ImportanceOptions",
    "LayerFit",
    "Procedure",
    "embed",
    "last_features",
]
