"""The model card that travels in the artifact: what it may be used for, what not, how good it is, where it fails."""

from collections.abc import Mapping
from typing import Any

from training.task import Task

_CARD = """# {task}

Classifies the stance of a sentence. Target: {target}. Labels: {labels}.
Fine-tuned from `{base}` ({parameters:.1f} million parameters), served in the form `{form}`.

## Use
For studying texts: reading many sentences and seeing how something was received. Every label is a guess with a probability; where
`abstain` is true the guess is not worth relying on. Read the sentences themselves before drawing a conclusion from them.

## Not for
Judging, ranking, tracking or profiling people or groups; moderation, employment, asylum, law enforcement or any decision about a
person. A sentence that *reports* a stance is labelled with the stance that it conveys, so a label says nothing about its author.

## Data
{rows} sentences for training, {validation} for early stopping, {calibration} for temperature and thresholds, {test} held out.
{data_note}

## How good it is
{table}

Intervals are 95 % bootstrap intervals over texts.

## Where it fails
Texts over {max_length} tokens are read in part. {limits}
"""


def model_card(
    task: Task,
    *,
    base: str,
    parameters: int,
    form: str,
    max_length: int,
    data: Mapping[str, Any],
    figures: Mapping[str, Any],
) -> str:
    """Return the card as Markdown."""
    sizes = {part: sum(found.values()) for part, found in data["counts"].items()}
    lines = ["| set | texts | macro-F1 | 95 % interval | accuracy |", "|---|---|---|---|---|"]
    for name, found in figures.items():
        low, high = found["macro_f1_interval"]
        lines.append(
            f"| {name} | {found['texts']} | {found['macro_f1']:.3f} | {low:.3f} to {high:.3f} | {found['accuracy']:.3f} |"
        )
    return _CARD.format(
        task=task.name,
        target=task.target,
        labels=", ".join(task.label_names),
        base=base,
        parameters=parameters / 1e6,
        form=form,
        rows=sizes["train"],
        validation=sizes["validation"],
        calibration=sizes["calibration"] or "the same",
        test=sizes["test"],
        data_note=task.data_note.strip(),
        limits=task.limits.strip(),
        table="\n".join(lines),
        max_length=max_length,
    )
