"""Transfer of generation: a language model of few jets, from scratch and from another model.

The rule: both starts have the same jets and are given as many steps, and the same jets of the
analysis part judge them. A tenth part beside the training jets decides when to stop.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import awkward as ak

from hepmtp.errors import OptionError
from hepmtp.events.record import with_metadata
from hepmtp.events.split import in_one_order, part_of
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.studies.jets.bench import Bench, Trained
from hepmtp.studies.jets.figures import Points, against
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.hyperparameters import measured

#: Validation jets for each training jet, as in the split.
VALIDATION = 1 / 6


class Row(NamedTuple):
    """A model of so many jets."""

    jets: int  #: that train
    start: str
    loss: float  #: per term, of jets of the analysis part [nat]
    loss_error: float
    w_multiplicity: float
    w_multiplicity_error: float
    floor_multiplicity: float
    w_mass: float
    w_mass_error: float
    floor_mass: float
    steps: int
    cpu_seconds: float


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """Each number of jets, fine-tuned and from scratch."""
    background, name = bench.name(0), bench.name(1)
    first = bench.language_model(background)
    parts = [in_one_order(part_of(bench.samples[name], one)) for one in ("train", "validation")]
    rows: list[Row] = []
    curves: dict[str, Points] = {}
    for n in _numbers(bench, len(parts[0])):
        held_out = min(len(parts[1]), max(20, round(n * VALIDATION)))
        jets = with_metadata(
            ak.concatenate([parts[0][:n], parts[1][:held_out]]), dataset=name, role="signal"
        )
        batch = bench.scale.training.batch_events
        epochs = max(1, -(-bench.scale.steps * batch // n))
        training = replace(
            bench.scale.training,
            epochs=epochs,
            patience=max(bench.scale.training.patience, epochs // 5),
        )
        for start in ("scratch", f"model of {background}"):
            one = bench.language_model(
                name,
                f"{name}, {n} jets, {start}",
                jets=jets,
                start_from=first if start != "scratch" else None,
                training=training,
            )
            rows.append(_row(bench, one, n, start))
            losses = [row["validation_loss"] for row in one.model.history_]
            steps = [(i + 1.0) * -(-n // batch) for i in range(len(losses))]
            curves[f"{n} jets, {start}"] = Points(steps, losses, [0.0] * len(losses))
    starts = dict.fromkeys(one.start for one in rows)
    series = {
        start: Points(*zip(*(
            (one.jets, one.loss, one.loss_error) for one in rows if one.start == start
        ), strict=True))
        for start in starts
    }  # fmt: skip
    title = f"{background} to {name}"
    figures = {
        "transfer_generation": against(
            series, xlabel=f"jets of {name} that trained", ylabel="loss per term", title=title,
            logx=True, caption=caption,
        ),
        "transfer_generation_steps": against(
            curves, xlabel="steps", ylabel="validation loss per term", title=title, logx=True,
            caption=caption,
        ),
    }  # fmt: skip
    remarks = [
        f"{bench.scale.steps} steps, to the end of an epoch; fewer where the loss stops falling.",
        f"The model of {background}: {first.cost}.",
    ]
    return Found(f"Transfer of generation, {title}", {"Models": rows}, remarks, figures)


def _numbers(bench: Bench, most: int) -> list[int]:
    found = sorted({most if one is None else one for one in bench.scale.top_jets})
    if found[-1] > most:
        raise OptionError(
            f"{found[-1]} training jets of {bench.name(1)} were asked for, and there are {most}: "
            "give more files"
        )
    return found


def _row(bench: Bench, one: Trained, n: int, start: str) -> Row:
    key = (one.digest, bench.scale.made, bench.scale.judged)
    measure = partial(measured, bench, one, trees=False)
    piece = bench.pieces.get(f"transfer of {n}, {start}", key, measure)
    numbers = {each: piece[each] for each in Row._fields if each in piece}
    numbers |= {"floor_multiplicity": piece["floors"]["multiplicity"]}
    numbers |= {"floor_mass": piece["floors"]["mass"]}
    numbers |= {"jets": n, "start": start, "steps": one.steps, "cpu_seconds": one.cpu_seconds}
    return Row(**numbers)
