"""How fast a loaded learner answers 100 short clips, against the mere decoding of them on the same cores.

The clips are real files (MP4, H.264, 340x256, 30 pictures a second) of 7 seconds, as in UCF101, and of 3, as in
HMDB51. The learner knows two classes by the embedded encoder. The yardstick is PyAV that decodes every picture and
does nothing with it, in as many processes as there are cores, started before the clock. Ours counts everything from
the call to the last answer: its own processes, sampling, scaling, encoding, scoring. It may be above 1, as pictures
that no other refers to are not decoded unless wanted.

Of a clip of 3 seconds, 15.4 ms of mere decoding, ours took 28 ms of processor time, and takes 22: 16.4 in the
workers, 12 of these for decoding what is needed, and 5.4 in the main process, 2.3 of these in the encoder. Tried and
left, as no gain could be measured: no garbage collection in the workers, the encoder's weights in another order in
memory, one message less between the processes for each clip.
"""

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path

from decoding import CODECS, RATE, SIZE, decode_all, write_moving_texture
from measuring import Result, main, ratios_in_turns, seconds

from essential import VideoLearner
from essential.features.cores import cpu_cores

_FILES, _CLIPS, _TURNS = 10, 100, 5
_LENGTHS = (7, 3)
_TEACHING = ("training.epochs=2", "method.rehearsal_epochs=2", "features.views=0")


def measure() -> Sequence[Result]:
    """Measure both lengths."""
    with tempfile.TemporaryDirectory() as folder:
        return [_measured(length, Path(folder)) for length in _LENGTHS]


def _measured(length: int, folder: Path) -> Result:
    """Decode and answer the same clips in turns."""
    # A picture more in each, as a learner refuses a clip that it was taught.
    files = [
        write_moving_texture(
            folder / f"{length}-{index}.mp4",
            RATE * length + index,
            size=SIZE,
            codec="libx264",
            options=CODECS["MP4"]["options"],
        )
        for index in range(_FILES)
    ]
    clips = [files[index % _FILES] for index in range(_CLIPS)]
    learner = VideoLearner(config="moving-digits/essential", overrides=_TEACHING)
    learner.learn({"even": files[::2], "odd": files[1::2]})
    taken: dict[str, list[float]] = {"raw": [], "ours": []}
    with multiprocessing.get_context("spawn").Pool(cpu_cores()) as pool:
        pool.map(decode_all, files)

        def raw() -> float:
            taken["raw"].append(seconds(lambda: pool.map(decode_all, clips, chunksize=1)))
            return taken["raw"][-1]

        def ours() -> float:
            taken["ours"].append(seconds(lambda: learner.predict(clips)))
            return taken["ours"][-1]

        ours()
        ratio, spread = ratios_in_turns(raw, ours, turns=_TURNS)
    taken["one"] = [seconds(lambda: learner.predict(files[0])) for _ in range(_TURNS)]
    median = {name: sorted(values)[len(values) // 2] for name, values in taken.items()}
    detail: dict[str, float | str] = {
        "clips a second": _CLIPS / median["ours"],
        "clips a second, mere decoding": _CLIPS / median["raw"],
        "seconds for one clip": median["one"],
    }
    return Result(f"100 clips of {length} s answered, over mere decoding", ratio, ">=", 0.7, spread, detail)


if __name__ == "__main__":
    main(measure, __doc__)
