"""The same model by other libraries, where they are installed: pip install omlt gurobi-machinelearning pyscipopt-ml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from floor import Layer
from torch import nn

__all__ = ["peers", "torch_module"]


def torch_module(layers: Sequence[Layer]) -> nn.Sequential:
    """The same network in torch."""
    modules: list[nn.Module] = []
    for W, b in layers:
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.from_numpy(W), torch.from_numpy(b)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1]).eval()


def peers() -> dict[str, tuple[str, Callable[[Sequence[Layer]], Callable[[], Any]]]]:
    """Distribution and builder of each peer that is installed, by the name that the table shows."""
    known = {
        "OMLT, Pyomo standard form": ("omlt", "omlt", _omlt),
        "gurobi-machinelearning": ("gurobi_ml", "gurobi-machinelearning", _gurobi_ml),
        "PySCIPOpt-ML, big-M": ("pyscipopt_ml", "pyscipopt-ml", _pyscipopt_ml),
    }
    return {name: (package, make) for name, (module, package, make) in known.items() if find_spec(module)}


def _omlt(layers: Sequence[Layer]) -> Callable[[], Any]:
    import highspy
    import pyomo.environ as pyo
    from omlt import OmltBlock
    from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
    from omlt.neuralnet.layer import DenseLayer, InputLayer
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    definition = NetworkDefinition(scaled_input_bounds=dict.fromkeys(range(layers[0][0].shape[1]), (-1.0, 1.0)))
    before = InputLayer([layers[0][0].shape[1]])
    definition.add_layer(before)
    for number, (W, b) in enumerate(layers):
        kind = "relu" if number < len(layers) - 1 else "linear"
        layer = DenseLayer([W.shape[1]], [W.shape[0]], activation=kind, weights=W.T, biases=b)
        definition.add_layer(layer)
        definition.add_edge(before, layer)
        before = layer

    def build() -> Any:
        model = pyo.ConcreteModel()
        model.nn = OmltBlock()
        model.nn.build_formulation(ReluBigMFormulation(definition))
        model.objective = pyo.Objective(expr=model.nn.outputs[0] - model.nn.outputs[1], sense=pyo.maximize)
        form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
        A = form.A.tocsc()
        kinds = np.array([row.bound_type for row in form.rows])
        rhs = np.array(form.rhs)
        lower, upper = np.where(kinds == 1, -np.inf, rhs), np.where(kinds == -1, np.inf, rhs)
        bounds = [column.bounds for column in form.columns]
        low = np.array([-np.inf if b[0] is None else b[0] for b in bounds])
        high = np.array([np.inf if b[1] is None else b[1] for b in bounds])
        integer = np.array([column.is_integer() or column.is_binary() for column in form.columns], dtype=np.int32)
        highs = highspy._core._Highs()
        highs.setOptionValue("output_flag", False)
        sizes = A.shape[1], A.shape[0], A.nnz, 1, -1, float(form.c_offset[0])
        cost = form.c.toarray()[0]
        highs.passModel(*sizes, cost, low, high, lower, upper, A.indptr, A.indices, A.data, integer)
        return highs

    return build


def _gurobi_ml(layers: Sequence[Layer]) -> Callable[[], Any]:
    import gurobipy
    from gurobi_ml.torch import add_sequential_constr
    from gurobipy import GRB

    network = torch_module(layers).float()
    environment = gurobipy.Env(params={"OutputFlag": 0})

    def build() -> Any:
        model = gurobipy.Model(env=environment)
        x = model.addMVar((1, layers[0][0].shape[1]), lb=-1.0, ub=1.0)
        y = model.addMVar((1, layers[-1][0].shape[0]), lb=-GRB.INFINITY)
        add_sequential_constr(model, network, x, y)
        model.setObjective(y[0, 0] - y[0, 1], GRB.MAXIMIZE)
        model.update()
        return model

    return build


def _pyscipopt_ml(layers: Sequence[Layer]) -> Callable[[], Any]:
    from pyscipopt import Model
    from pyscipopt_ml.add_predictor import add_predictor_constr

    network = torch_module(layers).float()

    def build() -> Any:
        model = Model()
        model.hideOutput()
        x = np.array([[model.addVar(lb=-1.0, ub=1.0) for _ in range(layers[0][0].shape[1])]], dtype=object)
        y = np.array([[model.addVar(lb=None) for _ in range(layers[-1][0].shape[0])]], dtype=object)
        add_predictor_constr(model, network, x, y, unique_naming_prefix="nn_", formulation="bigm")
        model.setObjective(y[0, 0] - y[0, 1], "maximize")
        return model

    return build
