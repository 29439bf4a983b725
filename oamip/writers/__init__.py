"""Networks out again."""

from oamip.writers.torch_module import to_torch

__all__ = ["to_torch"]
