"""How often the holder that the rules name is the right one, and how often they name one where there is one.

Figures of both halves of data/holders.jsonl go to benchmarks/results/holders.json; the rules were written looking at the errors of
the `development` half alone. Example: python -m benchmarks.holders
"""

import json
import sys
from collections import Counter
from typing import Any

from benchmarks.machine import ROOT, save
from serving.holders import holders
from serving.sentences import segment
from training.behaviour import wilson_interval

SET = ROOT / "data" / "holders.jsonl"
ARTICLES = ("a", "an", "the")


def main() -> None:
    """Measure, print and save."""
    passages = [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]
    figures = {half: measure([found for found in passages if found["split"] == half]) for half in ("development", "report")}
    path = save("holders", {**figures, "readings": readings(passages)})
    for half, found in figures.items():
        shares = ", ".join(f"{name} {value['share']:.3f}" for name, value in found.items() if isinstance(value, dict))
        print(f"{half}: {found['sentences']} sentences, {shares}")
    print(f"wrote {path}", file=sys.stderr)


def measure(passages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of some passages, each a share with its 95 % Wilson interval.

    A holder is right where its name is the annotated one, articles and capitals aside. `precision` is of the holders that the rules
    name, `recall` of those annotated; `null_precision` of the sentences that the rules leave without one, `null_recall` of those
    annotated so; `speech` is direct or indirect, where the holder is right; `segmentation` the sentences cut as annotated.
    """
    counts: Counter[str] = Counter()
    for passage in passages:
        spans = [(found["start"], found["end"]) for found in passage["sentences"]]
        cut = set(segment(passage["text"]))
        for span, annotated, found in zip(spans, passage["sentences"], holders(passage["text"], spans), strict=True):
            expected = annotated["holder"]
            right = found is not None and expected is not None and plain(found.name) == plain(expected["name"])
            counts["sentences"] += 1
            counts["cut"] += span in cut
            counts["named"] += found is not None
            counts["annotated"] += expected is not None
            counts["right"] += right
            counts["both_null"] += found is None and expected is None
            counts["speech"] += right and found is not None and found.speech == expected["speech"]
    total = counts["sentences"]
    return {
        "passages": len(passages),
        "sentences": total,
        "precision": share(counts["right"], counts["named"]),
        "recall": share(counts["right"], counts["annotated"]),
        "null_precision": share(counts["both_null"], total - counts["named"]),
        "null_recall": share(counts["both_null"], total - counts["annotated"]),
        "speech": share(counts["speech"], counts["right"]),
        "segmentation": share(counts["cut"], total),
    }


def readings(passages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far the first reading agrees with the decided one: on whether there is a holder, and on its name where both see one."""
    pairs = [(found["first"], found["holder"]) for passage in passages for found in passage["sentences"]]
    both = [(first, decided) for first, decided in pairs if first and decided]
    return {
        "holder_or_none": share(sum((first is None) == (decided is None) for first, decided in pairs), len(pairs)),
        "name": share(sum(plain(first["name"]) == plain(decided["name"]) for first, decided in both), len(both)),
    }


def plain(name: str) -> str:
    """Return a name without its article, in small letters."""
    first, _, rest = name.lower().partition(" ")
    return rest if rest and first in ARTICLES else name.lower()


def share(part: int, whole: int) -> dict[str, Any]:
    """Return a share with its interval and counts."""
    low, high = wilson_interval(part, whole)
    return {"share": round(part / whole, 4), "interval": [round(low, 4), round(high, 4)], "of": [part, whole]}


if __name__ == "__main__":
    main()
