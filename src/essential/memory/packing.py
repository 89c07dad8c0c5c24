"""How a memory keeps frame features and logits in few bits a number, and reads them back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from essential.errors import CheckpointError
from essential.files.sealed import Array
from essential.memory.quantiser import Codes, decoded, encoded, packed_bytes
from essential.seeding import seed_from

Bits = Literal[32, 16, 8, 4, 2]
PACKED = tuple(bits for bits in get_args(Bits) if bits < 32)

_COLUMNS = {"features_codes", "features_scales", "logits_codes", "logits_scales", "logits_known"}

Columns = Mapping[str, Tensor]
Decoded = tuple[Float[Tensor, "exemplars kept dim"], Float[Tensor, "exemplars scored"]]


@dataclass(frozen=True, eq=False)
class Packing:
    """Features less a centre, and logits, as codes; see `memory.quantiser`.

    A column of codes, one of scales, and for logits one of how many each exemplar has, hold as many rows as there are
    exemplars. The centre is taken off because encoders give features far from zero, beside which classes differ little.

    Attributes:
        bits: of every number.
        seed: of the rotation.
        centre: the mean of the frames that came first; equal features are stored without any error.
    """

    bits: int
    seed: int
    centre: Float32[Tensor, " dim"]

    @classmethod
    def of(cls, bits: Bits, *, seed: int, dim: int) -> "Packing | None":
        """Return the packing of a run's seed, before its first exemplar; None for 32 bits, which nothing packs."""
        return None if bits == 32 else cls(bits, seed_from("memory", seed), torch.zeros(dim, dtype=torch.float32))

    def around(self, features: Float[Tensor, "exemplars kept dim"]) -> "Packing":
        """Return this packing with the mean of those frames as its centre."""
        return replace(self, centre=features.double().mean(dim=(0, 1)).float()) if features.numel() else self

    def without_centre(self) -> "Packing":
        """Return this packing before its first exemplar."""
        return replace(self, centre=torch.zeros_like(self.centre))

    def exemplar_bytes(self, kept: int) -> int:
        """Return the bytes of the features of one exemplar of `kept` frames."""
        return kept * (packed_bytes(len(self.centre), self.bits) + torch.bfloat16.itemsize)

    def no_codes(self, kept: int) -> dict[str, Tensor]:
        """Return the columns of no exemplar."""
        codes = torch.zeros(0, kept, packed_bytes(len(self.centre), self.bits), dtype=torch.uint8)
        return {"features_codes": codes, "features_scales": torch.zeros(0, kept, dtype=torch.int16)}

    def encode(
        self, features: Float[Tensor, "exemplars kept dim"], logits: Float[Tensor, "exemplars scored"]
    ) -> dict[str, Tensor]:
        """Return the columns of finite features, and of logits that are NaN for later slots."""
        of_features = encoded(features.double() - self.centre, bits=self.bits, seed=self.seed)
        columns = {"features_codes": of_features.packed, "features_scales": of_features.scales.view(torch.int16)}
        if not logits.shape[1]:
            return columns
        known = (~logits.isnan()).sum(dim=1, dtype=torch.int32)
        codes = torch.zeros(len(logits), packed_bytes(logits.shape[1], self.bits), dtype=torch.uint8)
        scales = torch.zeros(len(logits), dtype=torch.bfloat16)
        for count in known.unique().tolist():
            rows = known == count
            own = encoded(logits[rows, :count], bits=self.bits, seed=self.seed)
            codes[rows, : own.packed.shape[1]], scales[rows] = own.packed, own.scales
        return {**columns, "logits_codes": codes, "logits_scales": scales.view(torch.int16), "logits_known": known}

    def decode(self, columns: Columns) -> Decoded:
        """Return features and logits; the same bits for an exemplar, whichever others there are."""
        of_features = Codes(columns["features_codes"], columns["features_scales"].view(torch.bfloat16))
        features = decoded(of_features, bits=self.bits, seed=self.seed, numbers=len(self.centre)) + self.centre
        known = columns.get("logits_known", torch.zeros(len(features), dtype=torch.long))
        logits = torch.full((len(features), int(known.max()) if len(known) else 0), torch.nan)
        for count in filter(None, known.unique().tolist()):
            rows = known == count
            packed = columns["logits_codes"][rows, : packed_bytes(count, self.bits)]
            own = Codes(packed, columns["logits_scales"][rows].view(torch.bfloat16))
            logits[rows, :count] = decoded(own, bits=self.bits, seed=self.seed, numbers=count).to(logits.dtype)
        return features.to(logits.dtype), logits

    def arrays(self, columns: Columns) -> dict[str, Array]:
        """Return everything as the file stores it."""
        own = {"packing": np.array([self.bits, self.seed], np.int64), "centre": self.centre.numpy()}
        return own | {name: column.numpy() for name, column in columns.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> tuple["Packing", dict[str, Tensor]]:
        """Undo `arrays`; a CheckpointError if they are of no packing."""
        bits, seed = arrays["packing"].tolist()
        columns = {name: torch.from_numpy(arrays[name].copy()) for name in _COLUMNS & arrays.keys()}
        centre = torch.from_numpy(arrays["centre"].copy())
        packing = cls(bits, seed, centre)
        sound = bits in PACKED and centre.dtype == torch.float32 and bool(centre.isfinite().all())
        if not sound or not packing._fit(columns):
            shapes = {name: tuple(column.shape) for name, column in sorted(columns.items())}
            raise CheckpointError(f"the memory holds {shapes} in {bits} bits, which do not fit each other")
        return packing, columns

    def _fit(self, columns: Columns) -> bool:
        """Whether these are columns that `encode` may have given, or a part of their rows."""
        codes, scales = columns["features_codes"], columns["features_scales"]
        pairs, fit = [(codes, scales)], codes.shape[2:] == (packed_bytes(len(self.centre), self.bits),)
        if (known := columns.get("logits_known")) is not None and len(known):
            codes, scales = columns["logits_codes"], columns["logits_scales"]
            pairs.append((codes, scales))
            fit &= len(known) == len(codes) and bool((known > 0).all())
            fit &= packed_bytes(int(known.max()), self.bits) <= codes.shape[-1]
        return fit and all(
            (codes.dtype, scales.dtype) == (torch.uint8, torch.int16)
            and codes.shape[:-1] == scales.shape
            and bool(scales.view(torch.bfloat16).isfinite().all())
            for codes, scales in pairs
        )
