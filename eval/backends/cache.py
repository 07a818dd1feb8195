"""A key-value cache with room for what is to come.

transformers' dynamic cache is copied whole for every generated token: on a processor that costs more than the attention over it. Here a
step writes one position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 64  # positions to grow by


class RoomyLayer(DynamicLayer):
    """Keys and values (rows, heads, length, size) as views of larger tensors, which are copied when they are full or rows were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._stores: dict[str, torch.Tensor] = {}

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self._appended("keys", self.keys, key_states)
        self.values = self._appended("values", self.values, value_states)
        return self.keys, self.values

    def _appended(self, name: str, held: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
        length = held.shape[-2] if held is not None and held.numel() else 0
        end = length + more.shape[-2]
        store = self._stores.get(name)
        if store is None or held is None or held.data_ptr() != store.data_ptr() or end > store.shape[-2]:
            store = more.new_empty(*more.shape[:-2], end + ROOM, more.shape[-1])
            if held is not None and length:
                store[..., :length, :] = held
            self._stores[name] = store
        store[..., length:end, :] = more
        return store[..., :end, :]


def merged(caches: Sequence[DynamicCache], at: int, paddings: Sequence[int]) -> DynamicCache:
    """One cache of the rows of all: caches of one model, `paddings[i]` positions to be inserted into the i-th before position `at`."""
    first = caches[0]
    for index, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys = torch.cat([_padded(layer.keys, at, count) for layer, count in zip(layers, paddings, strict=True)])
        values = torch.cat([_padded(layer.values, at, count) for layer, count in zip(layers, paddings, strict=True)])
        layer = layers[0]
        if type(layer) is DynamicLayer:  # others, such as sliding windows, have their own way to grow
            layer = first.layers[index] = RoomyLayer()
            layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
    return first


def _padded(states: torch.Tensor, at: int, count: int) -> torch.Tensor:
    """`states` (rows, heads, length, size) with `count` positions of zeros before position `at`."""
    if not count:
        return states
    return torch.cat([states[..., :at, :], pad(states[..., at:, :], (0, 0, count, 0))], dim=-2)
