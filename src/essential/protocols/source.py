"""Where a run's videos and their labels come from, and how classes become tasks: the settings of both."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from essential.protocols.folder import folder_videos
from essential.protocols.manifest import manifest_videos
from essential.protocols.moving_digits import MovingDigitsConfig
from essential.protocols.protocol import Video
from essential.schema import Section


class DataConfig(Section):
    """The videos."""

    kind: Literal["moving-digits", "folder", "manifest"] = Field(
        description="the embedded benchmark, a folder of train/<class>/* and test/<class>/*, or a CSV list"
    )
    root: Path | None = Field(None, description="the folder; for moving-digits where to make it, none: the cache")
    path: Path | None = Field(None, description="the CSV list with the columns path,label,split")
    moving_digits: MovingDigitsConfig = MovingDigitsConfig()

    @model_validator(mode="after")
    def _has_a_place(self) -> "DataConfig":
        if self.kind == "folder" and self.root is None:
            raise ValueError("data.kind=folder needs the folder: -s data.root=DIR")
        if self.kind != "manifest" and self.path is not None:
            raise ValueError(f"data.path={self.path} is for data.kind=manifest, but data.kind={self.kind}")
        if self.kind == "manifest" and self.path is None:
            raise ValueError("data.kind=manifest needs the list: -s data.path=FILE.csv")
        return self


class ProtocolConfig(Section):
    """How classes become tasks."""

    name: str | None = Field(None, description="what reports call it; none: the kind of data")
    tasks: int = Field(6, ge=1, description="number of tasks, the first included")
    base_classes: int | None = Field(None, ge=1, description="classes of the first task; none: as many as the others")
    order_seed: int | None = Field(0, ge=0, description="seed of the classes' order; none: by name")


def load_videos(config: DataConfig) -> list[Video]:
    """Return the labelled videos that `config` names; those of moving-digits have been made before.

    Raises:
        DataError: they cannot be used as they are.
    """
    if config.kind == "manifest":
        assert config.path is not None, "the section checks this"
        return manifest_videos(config.path)
    assert config.root is not None, "the section checks this, and the engine chooses a place for moving-digits"
    return folder_videos(config.root)
