"""Run the methods of essential on arrays: `python ours.py ARRAYS.npz --out ours.json`."""

from functools import partial
from typing import Any

from measuring import BATCH_SIZE, CLASSIFIER, EWC_WEIGHT, EXEMPLARS, LEARNING_RATE, Stream, measure

import essential as es


def learn(stream: Stream, epochs: int, seed: int, *, method: str, **settings: Any) -> list[float]:
    """Learn all tasks and return the accuracy after each."""
    _, frames, dim = stream.X.shape
    tasks = es.tasks_from_arrays(stream.X, stream.y, sizes=stream.sizes.tolist(), test=(stream.Xt, stream.yt))
    training = {
        **{"epochs": epochs, "batch_size": BATCH_SIZE, "drop_last": False, "threads": 1, "device": "cpu"},
        **{"learning_rate": LEARNING_RATE, "min_learning_rate": LEARNING_RATE, "warmup_epochs": 0},
        **{"scale_learning_rate": False, "weight_decay": 0.0},
    }
    built = es.build_method(method, dim=dim, frames=frames, seed=seed, **settings)
    return [float(accuracy) for accuracy in es.run(built, tasks, training=training).accuracy_on_seen]


_TRAINED = partial(learn, classifier=CLASSIFIER)
_KEEPING = partial(_TRAINED, total_exemplars=EXEMPLARS, exemplars_per_class=None)
METHODS = {
    ("finetune", ""): partial(_TRAINED, method="finetune"),
    ("replay", ""): partial(_KEEPING, method="replay", rehearsal="mixed"),
    ("ewc", ""): partial(_TRAINED, method="ewc", weight=EWC_WEIGHT),
    ("lwf", ""): partial(_TRAINED, method="lwf"),
    ("icarl", ""): partial(_KEEPING, method="icarl"),
    ("slda", ""): partial(learn, method="slda"),
    ("slda-temporal", ""): partial(learn, method="slda-temporal"),
}

if __name__ == "__main__":
    measure("essential", METHODS, __doc__)
