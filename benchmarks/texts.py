"""The texts that benchmarks score."""

from training.rows import read_rows
from training.task import read_task


def corpus_texts(count: int | None = None) -> list[str]:
    """Return the texts of the task's corpus, the first ``count`` of them."""
    task = read_task()
    return [row.text for row in read_rows(task.corpus, labels=task.label_names)[:count]]
