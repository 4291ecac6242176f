"""What the machine can do at best: matrix products and copies, with whichever library is fastest at them.

    python -m benchmarks.speed.rates [--precision float32|bfloat16]

A matrix product of [n, n] by [n, n] counts 2 n^3 operations. A copy counts its bytes twice, read and written,
and its array is larger than the caches. Each is called in turn with the others after a call that does not
count; the rate is that of the fastest library and size, from the median of its calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.shared import measure

SIZES = {"cpu": (512, 1024, 2048), "gpu": (4096, 8192)}
COPIED = {"cpu": 256 * 2**20, "gpu": 2 * 2**30}
"""Bytes of the array that is copied."""


def rates(precision: str = "float32", rounds: int = 7) -> dict[str, Any]:
    """Best rates of all cores of this machine, or of its first accelerator.

    Args:
        precision: of the matrix product.
        rounds: calls of each that count.

    Returns:
        "flops": operations a second; "bytes": bytes read and written a second; each with the name of what
        reached it, and all rates by name.
    """
    import jax

    platform = "cpu" if jax.local_devices()[0].platform == "cpu" else "gpu"
    if platform == "cpu":  # a processor multiplies bfloat16 in minutes
        precision = "float32"
    products, copies = {}, {}
    for size in SIZES[platform]:
        products |= {f"{who} {size}": (call, 2.0 * size**3) for who, call in _products(size, precision)}
    for who, call in _copies(COPIED[platform]):
        copies[who] = (call, 2.0 * COPIED[platform])
    told: dict[str, Any] = {}
    for name, candidates in (("flops", products), ("bytes", copies)):
        seconds = measure.in_turn({who: call for who, (call, _) in candidates.items()}, rounds)
        found = {who: amount / measure.median(seconds[who]) for who, (_, amount) in candidates.items()}
        best = max(found, key=lambda who: found[who])
        told |= {name: found[best], f"{name}_by": best, f"{name}_all": found}
    return told


def _products(size: int, precision: str) -> list[tuple[str, Callable[[], Any]]]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    x = jax.device_put(jnp.asarray(a, precision), jax.local_devices()[0])
    product = jax.jit(jnp.matmul)
    calls: list[tuple[str, Callable[[], Any]]] = [("jax", lambda: product(x, x).block_until_ready())]
    if jax.local_devices()[0].platform == "cpu" and precision == "float32":
        calls.append(("numpy", lambda: a @ a))
    torch = pytorch()
    if torch is not None:
        t = torch.from_numpy(a).to(torch_device(torch), getattr(torch, precision))
        calls.append(("pytorch", lambda: _waited(torch, torch.mm(t, t))))
    return calls


def _copies(count: int) -> list[tuple[str, Callable[[], Any]]]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    x = jax.device_put(jnp.zeros(count // 4, jnp.float32), jax.local_devices()[0])
    moved = jax.jit(lambda v: v + 1.0)
    calls: list[tuple[str, Callable[[], Any]]] = [("jax", lambda: moved(x).block_until_ready())]
    torch = pytorch()
    if torch is not None:
        source = torch.ones(count // 4, dtype=torch.float32, device=torch_device(torch))
        target = torch.empty_like(source)
        calls.append(("pytorch", lambda: _waited(torch, target.copy_(source))))
    if jax.local_devices()[0].platform == "cpu":
        cores = os.cpu_count() or 1
        parts = [tuple(np.ones((2, count // 4 // cores), np.float32)) for _ in range(cores)]
        threads = ThreadPoolExecutor(cores)
        calls.append(("numpy", lambda: list(threads.map(lambda pair: np.copyto(*pair), parts))))
    return calls


def pytorch() -> Any:
    """PyTorch if it is there and sees the same kind of device as JAX, else None."""
    import jax

    try:
        import torch
    except ImportError:
        return None
    return torch if jax.local_devices()[0].platform == "cpu" or torch.cuda.is_available() else None


def torch_device(torch: Any) -> str:
    """The device of PyTorch that JAX computes on too."""
    import jax

    return "cpu" if jax.local_devices()[0].platform == "cpu" else f"cuda:{torch.cuda.current_device()}"


def _waited(torch: Any, value: Any) -> Any:
    if value.device.type == "cuda":
        torch.cuda.synchronize()
    return value


def main() -> None:
    """Measures both rates and prints them."""
    flags = measure.parser(__doc__)
    flags.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    flags.add_argument("--rounds", type=int, default=7)
    given = flags.parse_args()
    measure.start_jax()
    found = rates(given.precision, given.rounds)
    rows = [(who, f"{rate / 1e9:,.1f} GFLOP/s") for who, rate in found["flops_all"].items()]
    rows += [(f"{who} copy", f"{rate / 1e9:,.1f} GB/s") for who, rate in found["bytes_all"].items()]
    platform = measure.machine()["devices"][0].split()[0]
    title = f"Rates of this machine, {given.precision}"
    table = measure.Table(("what", "rate"), tuple(rows))
    measure.store(given.out, f"rates_{given.precision}_{platform}", title, table, found)


if __name__ == "__main__":
    main()
