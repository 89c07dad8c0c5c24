"""Videos in one folder, whose names say what they are: `train-jump-017.mp4` is a training clip of the class `jump`."""

from essential.errors import DataError
from essential.protocols.protocol import Listing, Video
from essential.protocols.source import DataConfig, Dataset


def _listing(config: DataConfig) -> Listing:
    root = config.given("root")
    videos = []
    for path in sorted(root.glob("*.mp4")):
        split, _, rest = path.stem.partition("-")
        label = rest.rpartition("-")[0]
        if split not in ("train", "test") or not label:
            raise DataError("its name is not train-CLASS-NUMBER.mp4 or test-CLASS-NUMBER.mp4", where=path)
        videos.append(Video(path.name, str(path), label, "train" if split == "train" else "test"))
    return Listing.by_name(videos)


NAMED_FILES = Dataset("videos named SPLIT-CLASS-NUMBER.mp4 in one folder", needs=("root",), listing=_listing)
