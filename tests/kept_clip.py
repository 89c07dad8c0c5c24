"""A place for downloads, with or without the file of CLIP's weights."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from essential.encoders.config import CLIP_REPOSITORY


def keep_clip(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Put a file where CLIP's weights would be after a download; nobody may read it."""
    folder = cache / f"models--{CLIP_REPOSITORY.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "model.safetensors").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
