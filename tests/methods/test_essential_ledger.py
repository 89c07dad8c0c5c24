"""The ledger of the published Something-Something V2 recipe: what the paper's figure counts, to the printed digit."""

import pytest

from essential.contract.synthetic_tasks import make_tasks
from essential.engine.config import load_config
from essential.memory.ledger import total_by_kind
from essential.methods import build_method

MIB = 2**20
DIM = 768
# One MR module without its prompts: attention (4 d^2 + 4 d), MLP (8 d^2 + 5 d), three norms (6 d), in float32.
MODULE_BYTES = 4 * (12 * DIM**2 + 15 * DIM)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "printed"), [("tcd/ssv2-10x9", 8.39), ("tcd/ssv2-5x18", 8.60)])
def test_the_recipe_takes_the_bytes_that_the_paper_prints(name: str, printed: float) -> None:
    config = load_config(name)
    tasks, base = config.protocol.tasks, config.protocol.base_classes
    assert tasks is not None
    assert base is not None
    sizes = [base, *[(174 - base) // (tasks - 1)] * (tasks - 1)]
    assert sum(sizes) == 174
    method = build_method(config.method, dim=DIM, frames=8, seed=0)
    for task in make_tasks(sizes, per_class=4, dim=DIM):
        method.begin(task)
        for stage in method.stages(task):
            stage.prepare()
        method.finish(task)
    ledger = method.ledger()
    counted = sum(entry.bytes for entry in ledger if entry.in_paper_figure)
    assert counted == 174 * 4 * 4 * DIM * 4 + tasks * 8 * DIM * 4
    assert round(counted / MIB, 2) == printed
    by_kind = total_by_kind(ledger)
    assert by_kind["semantic"] == tasks * 8 * DIM * 4
    assert by_kind["retrieval_modules"] == tasks * MODULE_BYTES
    assert by_kind["total"] - counted == by_kind["retrieval_modules"] + sum(
        entry.bytes for entry in ledger if entry.kind == "episodic" and entry.name != "frame features"
    )
