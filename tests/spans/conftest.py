"""A folder with two videos of four and of eight seconds, at 25 frames a second."""

from pathlib import Path

import pytest

from video_files import write_numbered_video


@pytest.fixture(scope="session")
def made_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the videos; do not write into it."""
    root = tmp_path_factory.mktemp("videos")
    write_numbered_video(root / "match.mp4", 100)
    write_numbered_video(root / "away.mp4", 200)
    return root


@pytest.fixture
def videos(made_videos: Path, tmp_path: Path) -> Path:
    """Return a folder of its own with both videos."""
    for path in made_videos.iterdir():
        (tmp_path / path.name).hardlink_to(path)
    return tmp_path
