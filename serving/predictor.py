"""The predictor: an artifact in memory that turns texts into stances. Everything that scores text scores it here."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving import artifact, registry
from serving.artifact import Manifest
from serving.errors import ArtifactError, DataError
from serving.tokenizer import Encoded, TextTokenizer, pad

if TYPE_CHECKING:
    import openvino

TOKENS_PER_BATCH = 4096
"""Padded tokens computed at once: large enough to fill the cores, small enough to stay in their caches."""

BATCH_COST = 32
"""What a batch costs beside its padded tokens, in tokens: `python -m benchmarks.throughput` shows what planning with it saves."""

TEXTS_AT_ONCE = 2048
CHARACTERS_AT_ONCE = 4_000_000
"""A stream of texts is scored so many at a time, or fewer where they are long: enough for batches of like length."""

DECIMALS = 6
"""Digits of a probability that are written out; the rest differs from processor to processor."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The stance of one text.

    ``probabilities`` are temperature-scaled and sum to 1; ``prediction_set`` holds the labels that cannot be excluded at the
    artifact's conformal level, likeliest first, never empty; ``abstain`` says that the confidence is below the artifact's
    threshold; ``truncated`` that only the beginning of the text was read.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    abstain: bool
    truncated: bool


class Predictor:
    """Scores texts with one artifact. Safe to call from several threads."""

    def __init__(self, *, manifest: Manifest, tokenizer: TextTokenizer, compiled: "openvino.CompiledModel", tag: str) -> None:
        """Use :meth:`load` or :meth:`from_directory`."""
        self.manifest = manifest
        self.tag = tag
        self.labels = manifest.label_names
        self.tokenizer = tokenizer
        self._compiled = compiled
        self._requests = threading.local()
        self.on_batch: Callable[[int, int], None] = lambda tokens, padded: None
        """Told the tokens of each batch computed, without and with padding."""

    @classmethod
    def load(cls, tag: str | None = None, *, threads: int = 0) -> "Predictor":
        """Load a model of the store by its tag, or the champion; ``threads`` as in :func:`compile_runtime`.

        Raises:
            RegistryError: no such model, or no champion yet.
            ArtifactError: the model is damaged.
        """
        stored = registry.resolve(tag)
        return cls.from_directory(stored.path, tag=stored.tag, threads=threads)

    @classmethod
    def from_directory(cls, directory: Path, *, tag: str = "stance:unsaved", threads: int = 0) -> "Predictor":
        """Load and check an artifact directory; ``threads`` as in :func:`compile_runtime`.

        Raises:
            ArtifactError: a file is missing or altered, the format is unknown, the label count is unlike the head's, or the
                golden texts come out different.
        """
        manifest = artifact.open_artifact(directory)
        tokenizer = TextTokenizer.load(directory / artifact.TOKENIZER, max_length=manifest.max_length)
        compiled = compile_runtime(directory / artifact.RUNTIME_XML, form=manifest.form, threads=threads)
        outputs = compiled.output(0).get_partial_shape()[1].get_length()
        if outputs != len(manifest.labels):
            raise ArtifactError(f"{directory}: the manifest names {len(manifest.labels)} labels, the head has {outputs} outputs.")
        predictor = cls(manifest=manifest, tokenizer=tokenizer, compiled=compiled, tag=tag)
        predictor._check_golden(directory)
        return predictor

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text, in order.

        Raises:
            DataError: a text is empty or holds nothing but white space.
        """
        self.check(texts)
        encoded = self.encode(texts)
        return self.predictions(self.logits(encoded), encoded)

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Yield one prediction a text, in order, however many there are: memory holds :data:`TEXTS_AT_ONCE` of them.

        Texts are taken as predictions are asked for, that many ahead.

        Raises:
            DataError: a text is empty or holds nothing but white space; those before its window have been yielded.
        """
        first = 0
        for window in _windows(texts):
            self.check(window, first=first)
            encoded = self.encode(window)
            yield from self.predictions(self.logits(encoded), encoded)
            first += len(window)

    def check(self, texts: Sequence[str], *, first: int = 0) -> None:
        """Check that every text may be scored; ``first`` is the number of the first one in the message.

        Raises:
            DataError: a text is empty or holds nothing but white space.
        """
        for index, text in enumerate(texts, first):
            if not text.strip():
                raise DataError(f"text {index}: expected at least one character that is not white space, found none.")

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the token ids of every text, in order."""
        return self.tokenizer.encode(texts)

    def logits(self, encoded: Sequence[Encoded]) -> np.ndarray:
        """Return the head's raw outputs, float32 of shape (texts, labels), in the order given; equal texts are computed once."""
        places: dict[tuple[int, ...], int] = {}
        which = [places.setdefault(tuple(item.ids), len(places)) for item in encoded]
        different = list(places)
        logits = np.empty((len(different), len(self.labels)), dtype=np.float32)
        for batch in plan_batches([len(ids) for ids in different]):
            input_ids, attention_mask = pad([different[index] for index in batch])
            logits[batch] = self._infer({"input_ids": input_ids, "attention_mask": attention_mask})
            self.on_batch(int(attention_mask.sum()), input_ids.size)
        return logits[which]

    def predictions(self, logits: np.ndarray, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Return what the logits of encoded texts mean, one prediction a text."""
        return [self._prediction(row, item) for row, item in zip(self.probabilities(logits), encoded, strict=True)]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return temperature-scaled softmax probabilities, float64 of the shape of ``logits``.

        Source: Guo et al. (2017), "On Calibration of Modern Neural Networks".
        """
        scaled = logits.astype(np.float64) / self.manifest.temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        exponentials = np.exp(scaled)
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def _infer(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        request = getattr(self._requests, "request", None)
        if request is None:  # one a thread: a request holds the buffers of the inference under way
            request = self._requests.request = self._compiled.create_infer_request()
        return np.array(request.infer(inputs)[0])

    def _prediction(self, row: np.ndarray, encoded: Encoded) -> Prediction:
        order = np.argsort(-row, kind="stable")
        best = int(order[0])
        confidence = float(row[best])
        kept = [i for i in order if i == best or row[i] >= self.manifest.conformal.threshold]
        return Prediction(
            label=self.labels[best],
            confidence=confidence,
            probabilities={label: float(p) for label, p in zip(self.labels, row, strict=True)},
            prediction_set=tuple(self.labels[i] for i in kept),
            abstain=confidence < self.manifest.abstention.threshold,
            truncated=encoded.truncated,
        )

    def _check_golden(self, directory: Path) -> None:
        golden = artifact.read_golden(directory, label_count=len(self.labels))
        found = self.probabilities(self.logits(self.encode([record.text for record in golden])))
        expected = np.array([record.probabilities for record in golden])
        worst = float(np.abs(found - expected).max())
        if not worst <= self.manifest.golden_tolerance:
            raise ArtifactError(
                f"{directory / artifact.GOLDEN}: this machine's probabilities differ from those of training by {worst:.4f},"
                f" expected at most {self.manifest.golden_tolerance:.4f}: the weights or the runtime are not what was evaluated."
            )


def compile_runtime(path: Path, *, form: str, threads: int = 0) -> "openvino.CompiledModel":
    """Read and compile a runtime graph for the CPU; ``threads`` 0 means all processors that the process may use.

    Raises:
        ArtifactError: the graph cannot be read or compiled.
    """
    import openvino

    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # The artifact says how exact it is; the runtime must not lower it because a processor offers to.
        "INFERENCE_PRECISION_HINT": "bf16" if form == "bf16" else "f32",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
        settings["ENABLE_CPU_PINNING"] = False  # two processes would pin theirs to the same processors
    try:
        core = openvino.Core()
        return core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as error:
        raise ArtifactError(f"{path}: the runtime cannot load this graph ({str(error).splitlines()[0]}).") from None


def _windows(texts: Iterable[str]) -> Iterator[list[str]]:
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text)
        if len(window) == TEXTS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield window
            window, characters = [], 0
    if window:
        yield window


def plan_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return the indices of texts of like length, batch by batch, so that the least is computed.

    A batch costs its padded tokens, at most :data:`TOKENS_PER_BATCH` of them unless it is one text, and :data:`BATCH_COST` more.
    The texts sorted by length are cut at the best places, found by dynamic programming over where the last batch begins.
    """
    order = np.argsort(np.asarray(lengths, dtype=int), kind="stable")
    ordered = np.asarray(lengths, dtype=int)[order]
    cost = np.zeros(len(order) + 1)
    begin = np.zeros(len(order) + 1, dtype=int)
    for end in range(1, len(order) + 1):
        longest = int(ordered[end - 1])
        first = max(0, end - max(1, TOKENS_PER_BATCH // max(1, longest)))
        candidates = cost[first:end] + BATCH_COST + longest * np.arange(end - first, 0, -1)
        best = int(candidates.argmin())
        begin[end], cost[end] = first + best, candidates[best]
    batches = []
    end = len(order)
    while end:
        batches.append(order[begin[end] : end].tolist())
        end = int(begin[end])
    return batches[::-1]
