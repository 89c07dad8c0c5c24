"""The figures of a logged event, by name: what a plot has on its axis."""

from collections.abc import Mapping
from typing import Any


def scalars_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an event of a run's log.

    An epoch gives `loss/<stage>/<term>` for every weighted term, their sum `loss/<stage>`, and `learning_rate/<stage>`;
    an evaluation `accuracy/seen`, where there is a test video, and `memory_bytes/<kind>`. Both give `task`, from 0.
    """
    task = {"task": float(event["task"])}
    if event["event"] == "epoch":
        stage, losses = event["stage"], event["losses"]
        terms = {f"loss/{stage}/{name}": float(value) for name, value in losses.items()}
        rate = {f"learning_rate/{stage}": float(event["learning_rate"])}
        return {**task, f"loss/{stage}": float(sum(losses.values())), **terms, **rate}
    kinds = {f"memory_bytes/{kind}": float(count) for kind, count in event["memory_bytes"].items()}
    accuracy = {} if event["accuracy"] is None else {"accuracy/seen": float(event["accuracy"])}
    return {**task, **accuracy, **kinds}
