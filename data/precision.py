"""Which dtype a machine computes fast in."""

from __future__ import annotations

import torch


def compute_dtype() -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively (CUDA, AVX512-BF16, AMX), float32 elsewhere.

    A CPU without such units emulates bfloat16 at about a third of its float32 speed.
    """
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
