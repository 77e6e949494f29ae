"""Write the measured parts of README.md, between its markers, from the result files.

Example: python -m benchmarks.readme
"""

import json
import re
from typing import Any

from benchmarks.machine import RESULTS, ROOT
from serving.predictor import Predictor
from serving.schema import PredictResponse, TextPrediction

README = ROOT / "README.md"
MARKER = "<!-- {name} -->"


def main() -> None:
    """Rewrite the README in place."""
    text = README.read_text(encoding="utf-8")
    request = re.search(r"-d '(\{.*?\})'", text)
    if request is None:
        raise SystemExit(f"{README}: expected a curl request with a JSON body, found none")
    answer = curl_answer(json.loads(request[1])["texts"])
    for name, content in {**sections(), "curl": answer}.items():
        marker = MARKER.format(name=name)
        end = MARKER.format(name=f"end of {name}")
        block = f"{marker}\n{content}\n{end}"
        pattern = re.escape(marker) + (rf".*?{re.escape(end)}" if end in text else "")
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")


def sections() -> dict[str, str]:
    """Return the measured parts that do not need a model."""
    return {
        "results": results_table(result("evaluation"), result("throughput")),
        "costs": costs(result("first_run")),
        "explain": explanation_cost(result("explain")),
        "holders": holders(result("holders")),
    }


def result(name: str) -> dict[str, Any]:
    """Return one result file."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def results_table(evaluation: dict[str, Any], throughput: dict[str, Any]) -> str:
    """Return the figures of the shipped champion beside the baselines, and its speed."""
    sets = [evaluation["sets"][name] for name in ("frozen test", "calibration", "test")]
    real, others, own = (found["texts"] for found in sets)
    lines = [
        f"| macro-F1 (95 % interval) | field test: {real} paraphrases of real coverage | another writer: {others:,} hard sentences"
        f" | corpus test split: {own:,} |",
        "|---|---|---|---|",
    ]
    for name in sets[0]["baselines"]:
        lines.append(f"| {name} | " + " | ".join(headline(found["baselines"][name]) for found in sets) + " |")
    lines.append("| **this model** | " + " | ".join(f"**{headline(found)}**" for found in sets) + " |")
    classes = ["", "| on the field test | precision | recall | F1 | texts |", "|---|---|---|---|---|"]
    for label, found in sets[0]["per_class"].items():
        numbers = " | ".join(f"{found[key]:.2f}" for key in ("precision", "recall", "f1"))
        classes.append(f"| {label} | {numbers} | {found['support']} |")
    coverage, floor = sets[0]["accuracy_at_coverage"], sets[0]["ece_noise_floor"]["p95"]
    speed = throughput["texts_a_second"]["served"]
    ratio = throughput["served_against"]["torch fp32, sorted by length"]
    notes = [
        "",
        f"On the field test the most confident half is right {coverage['50%']:.0%} of the time, all of it {coverage['100%']:.0%};"
        f" its calibration error is {sets[0]['ece']:.2f} (noise floor {floor:.2f}). Training never sees the *other writer*, but"
        " the recipe was chosen and the temperature fitted on those sentences; the corpus test split was composed by the same writers as the"
        " training sentences and flatters the model.",
        f"`stance evaluate --json benchmarks/results/evaluation.json`, {evaluation['model']}.",
        "",
        f"In process it scores {speed:.0f} sentences a second, {ratio:.1f} times torch in single precision on the same texts"
        f" (`make bench`; {throughput['machine']}, {throughput['date']}, commit {throughput['commit']}).",
    ]
    return "\n".join([*lines, *classes, *notes])


def headline(found: dict[str, Any]) -> str:
    """Return a macro-F1 with its interval."""
    low, high = found["macro_f1_interval"]
    return f"{found['macro_f1']:.3f} ({low:.3f} to {high:.3f})"


def costs(found: dict[str, Any]) -> str:
    """Return what the two commands cost."""
    return (
        "| | |\n|---|---|\n"
        f"| first `make serve` | {found['first_serve_s'] / 60:.1f} minutes until it answers |\n"
        f"| second `make serve` | {found['second_serve_s']:.0f} seconds |\n"
        f"| `make test` | {found['test_s'] / 60:.1f} minutes |\n"
        f"| disk | {found['disk_mb'] / 1000:.1f} GB |\n\n"
        f"({found['machine']}, {found['date']}, commit {found['commit']}.)"
    )


def explanation_cost(found: dict[str, Any]) -> str:
    """Return what an explanation costs beside scoring as many texts."""
    sentences, long = found["cost_against_as_many_texts"], found["long_texts"]
    return (
        f"Explaining a sentence costs {sentences['median']:.2f} times scoring as many sentences of its length (at most"
        f" {sentences['largest']:.2f} times, {found['texts']} sentences); a text of {long['characters']:,} characters"
        f" {long['cost_against_as_many_texts']['largest']:.2f} times scoring as many of those (`python -m benchmarks.explain`;"
        f" {found['machine']}, {found['date']}, commit {found['commit']})."
    )


def holders(found: dict[str, Any]) -> str:
    """Return how well holders are found, on both halves of their measurement set."""
    halves = {"report": "half for reporting", "development": "half that the rules were written by"}
    heads = " | ".join(f"{title}: {found[half]['sentences']} sentences" for half, title in halves.items())
    names = {
        "precision": "the holder named is the right one",
        "recall": "of the holders there are, found with the right name",
        "null_precision": "null, and nobody but the writer speaks",
        "null_recall": "of the sentences without a holder, left null",
        "segmentation": "sentences cut as a reader cuts them",
    }
    lines = [f"| 95 % Wilson interval | {heads} |", "|---|---|---|"]
    lines += [f"| {title} | {' | '.join(share(found[half][name]) for half in halves)} |" for name, title in names.items()]
    note = f"`python -m benchmarks.holders`; {found['machine']}, {found['date']}, commit {found['commit']}."
    return "\n".join([*lines, "", note])


def share(found: dict[str, Any]) -> str:
    """Return a share with its interval and counts."""
    low, high = found["interval"]
    return f"{found['share']:.2f} ({low:.2f} to {high:.2f}), {found['of'][0]} of {found['of'][1]}"


def curl_answer(texts: list[str]) -> str:
    """Return what the service answers to the README's request, one line a prediction."""
    predictor = Predictor.load()
    answer = PredictResponse(
        model=predictor.tag, predictions=[TextPrediction.of(found) for found in predictor.predict(texts)]
    ).model_dump()
    lines = ",\n  ".join(json.dumps(found) for found in answer["predictions"])
    return f'```json\n{{"model": "{answer["model"]}", "predictions": [\n  {lines}]}}\n```'


if __name__ == "__main__":
    main()
