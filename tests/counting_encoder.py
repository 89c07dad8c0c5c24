"""A frozen encoder that notes which frames it is given, for tests of windows and of cameras."""

from jaxtyping import Float
from torch import Tensor, nn

from features.fake_encoder import FakeEncoder
from video_files import read_number


class CountingEncoder(FakeEncoder):
    """Notes which frames it is given; it computes in float64, so that its features are equal but for one rounding."""

    def __init__(self, *, per_frame: bool, clip_frames: int | None = None) -> None:
        super().__init__(size=48)
        self.per_frame = per_frame
        self.clip_frames = clip_frames
        self.given: list[int] = []

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        images = ((clips.flatten(0, 1) * 0.25 + 0.5) * 255).byte().permute(0, 2, 3, 1).numpy()
        self.given += [read_number(image) for image in images]
        cells = nn.functional.adaptive_avg_pool2d(clips.double().flatten(0, 1), 4).flatten(1)
        features: Tensor = (cells @ self.matrix.double()).unflatten(0, clips.shape[:2])
        # A clip encoder's features are not of one frame.
        return features if self.per_frame else features + features.mean(dim=1, keepdim=True)
