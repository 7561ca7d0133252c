"""Inner products of queries with a whole gallery: fast ones with a bound on their error, and exact ones.

The fast product is bfloat16 where the processor multiplies it natively (at two to four times the rate of float32) and
float32 elsewhere. Its error is bounded, not estimated, so that a comparison which the bound settles is settled for
good and only the rest needs the exact product. Exact means: float64 sums of the float32 inputs, whose products
float64 holds without rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TIE = 2.0**-46
"""Similarities this close, times the norms of both vectors, are one similarity: the order in which a float64 sum is
taken changes it by about this much, so a smaller difference says nothing."""

FLOAT32_BOUNDARY = 2.0**-22
"""More than rounding a boundary to float32 moves it, relative to the boundary."""

COLUMNS = 4096
"""Gallery rows converted to float64 at a time."""


def fast_dtype() -> torch.dtype:
    """bfloat16 if the processor has instructions for its product (they sum in float32), else float32."""
    processor: Mapping[str, Any] = torch.cpu.get_capabilities()
    native = processor.get("avx512_bf16") or processor.get("amx_bf16")
    one_dnn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no type here
    return torch.bfloat16 if native and one_dnn else torch.float32


class FastProduct:
    """Approximate inner products with a fixed gallery, float32[n, d], in bfloat16 less those with the gallery's centre.

    The centre takes the same from all similarities of a query and so leaves their order alone. Features behind a ReLU
    lie in a narrow cone; without the part that all of them share, far fewer comparisons are too close to call.
    """

    def __init__(self, gallery: Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        # Results are written over those of the call before: fresh memory of this size costs as much as the product.
        self._narrow = torch.empty(0, dtype=dtype)
        self._widened = torch.empty(0, dtype=torch.float32)
        self._rounding = 0.0
        if dtype == torch.float32:  # which is close enough as it is
            self._gallery, self._centre = gallery, torch.zeros(gallery.shape[1])
            self._norm = float(norms(gallery).max())
            return
        self._norm = 0.0
        self._centre = gallery.mean(dim=0)
        self._gallery = torch.empty(gallery.shape, dtype=dtype)
        for start in range(0, len(gallery), COLUMNS):
            centred = gallery[start : start + COLUMNS].double() - self._centre.double()
            rounded = centred.to(dtype)
            self._gallery[start : start + COLUMNS] = rounded
            self._norm = max(self._norm, float(norms(centred).max()))
            self._rounding = max(self._rounding, float(norms(centred - rounded.double()).max()))

    def products(self, query: Tensor) -> tuple[Float32, Float64]:
        """float32[b, d] -> products float32[b, n], and what must be added to each query's to get similarities,
        float64[b]. The products are valid until the next call.
        """
        shape = len(query), len(self._gallery)
        room = shape[0] * shape[1]
        if len(self._widened) < room:
            self._widened = torch.empty(room, dtype=torch.float32)
            self._narrow = torch.empty(room if self.dtype != torch.float32 else 0, dtype=self.dtype)
        out = self._widened[:room].view(shape)
        if self.dtype == torch.float32:
            # NumPy's float32 product is one whatever torch was told about the precision of its own.
            np.matmul(query.numpy(), self._gallery.numpy().T, out=out.numpy())
        else:
            narrow = self._narrow[:room].view(shape)
            torch.mm(query.to(self.dtype), self._gallery.T, out=narrow)
            out.copy_(narrow)
        return out.numpy(), (query.double() @ self._centre.double()).numpy()

    def errors(self, query: Tensor) -> Float64:
        """How far the products of each query may be off, float64[b]. In bfloat16 they are rounded once more, see
        `width`.
        """
        size = query.shape[1]
        if self.dtype == torch.float32:
            return float32_error(norms(query).numpy() * self._norm, size)
        # Cauchy-Schwarz on what rounding took from either side, and the float32 sum with a factor of two for
        # instructions that round less carefully.
        rounded = query.to(self.dtype)
        lengths = norms(rounded.float())
        error = (norms(query - rounded.float()) * self._norm + lengths * self._rounding).numpy() * 1.001
        return error + 2 * float32_error(lengths.numpy() * (self._norm + self._rounding), size)

    def width(self, product: Float64, error: Float64 | float) -> Float64:
        """How far from an exact product an approximate one must lie to be certainly on that side of it.

        Rounding is monotone, so it widens the error by half a unit in the last place at the boundary: 8 significant
        bits in bfloat16, and 24 where the boundary itself is rounded to float32.
        """
        unit = 2.0**-8 if self.dtype == torch.bfloat16 else 0.0
        return error + (unit + FLOAT32_BOUNDARY) * (np.abs(product) + error) * 1.01


def float32_error(lengths: Float64, size: int) -> Float64:
    """How far a float32 product of two vectors of `size` numbers may be off, by the product of their norms.

    Any order of d float32 additions errs by less than d units of 2^-24, relative to that. The constant covers what is
    flushed to zero as too small for a float32.
    """
    return (size + 8) * 2.0**-24 * 1.001 * lengths + 1e-30


def exact_product(query: Tensor, gallery: Tensor) -> Float64:
    """float32[b, d], float32[n, d] -> float64[b, n], without a float64 copy of the gallery."""
    wide = query.double()
    products = torch.empty((len(query), len(gallery)), dtype=torch.float64)
    for start in range(0, len(gallery), COLUMNS):
        part = gallery[start : start + COLUMNS]
        products[:, start : start + COLUMNS] = wide @ part.double().T
    return products.numpy()


def exact_pairs(query: Float32, items: Float32) -> Float64:
    """float32[d], float32[m, d] -> float64[m]. einsum and not a product: it starts no threads of its own."""
    result: Float64 = np.einsum("ij,j->i", items, query, dtype=np.float64)
    return result


def norms(rows: Tensor) -> Tensor:
    """Euclidean lengths of rows, float64[n]."""
    lengths = torch.empty(len(rows), dtype=torch.float64)
    for start in range(0, len(rows), COLUMNS):
        part = rows[start : start + COLUMNS]
        lengths[start : start + COLUMNS] = torch.linalg.vector_norm(part, dim=1, dtype=torch.float64)
    return lengths
