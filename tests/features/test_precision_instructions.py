"""8-bit products where a processor has fewer instructions than this one, and adds two products in 16 bits."""

import os
import subprocess
import sys

import pytest

PRODUCTS = """
import numpy as np, torch
from essential.features.precision import eight_bit_linear, round_weights

signs = np.random.default_rng(0).choice([-1, 1], (64, 768)).astype(np.float32)
signs[:32:5] = signs[32::5] = 1
found = eight_bit_linear(torch.from_numpy(signs[:32]), round_weights(torch.from_numpy(signs[32:])), None)
assert np.allclose(found, signs[:32] @ signs[32:].T, rtol=1e-6, atol=0)
"""


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE"])
def test_the_largest_sums_do_not_overflow(instructions: str) -> None:
    # More than the processor has is no error: it does what it can.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "ONEDNN_VERBOSE": "1"}
    outcome = subprocess.run(
        [sys.executable, "-c", PRODUCTS], env=environment, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    # By oneDNN, shifted: torch's own product of 8-bit numbers asks it on processors with AVX-512 VNNI alone.
    (product,) = (line for line in outcome.stdout.splitlines() if "primitive,exec" in line and "reorder" not in line)
    assert ",matmul," in product
    assert "src_u8" in product or "src:u8" in product
