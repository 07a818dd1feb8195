"""Compiles a model's decoder layers one by one: they share one piece of code, so that this takes a minute at most, not one for each."""

from __future__ import annotations

from typing import Any

import torch
from rich.console import Console


def compile_layers(model: Any, console: Console) -> None:
    """Compile in place, at the first step; on a CPU without a C++ compiler only say so."""
    device = next(model.parameters()).device.type
    if device == "cpu" and not has_compiler():
        console.print("no C++ compiler: layers are not compiled, steps take about half as long again", style="yellow")
        return
    for layer in decoder_layers(model):
        layer.compile(dynamic=True)


def has_compiler() -> bool:
    """Whether torch finds the C++ compiler that it would compile with (`CXX`, or g++)."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # half a second of imports, for those who compile
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


def decoder_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The repeated blocks of the model: those that transformers does not split over devices."""
    names: Any = getattr(model, "_no_split_modules", None) or ()
    return [module for module in model.modules() if type(module).__name__ in names]
