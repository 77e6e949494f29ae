"""The artifact: one immutable directory that holds everything that changes a prediction.

``manifest.json`` is written last, so its presence means that the artifact is complete. Reading one verifies every file that
the manifest lists; the golden texts are checked by the predictor, which has the runtime to do it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import ArtifactError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GOLDEN = "golden.jsonl"
MODEL_CARD = "MODEL_CARD.md"
TOKENIZER = "tokenizer.json"
RUNTIME_XML = "model.xml"
RUNTIME_BIN = "model.bin"
WEIGHTS = "model.safetensors"
ENCODER_CONFIG = "encoder_config.json"

Form = Literal["int8", "int8-mixed", "bf16", "f32"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelDefinition(_Part):
    """One label: the string that travels everywhere, and what it means."""

    name: str = Field(min_length=1, max_length=100)
    definition: str = ""


class Conformal(_Part):
    """Split-conformal threshold: a label is in the prediction set when its probability is at least ``threshold``.

    Source: Sadinle, Lei & Wasserman (2019), "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels".
    """

    alpha: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=0, le=1)


class Abstention(_Part):
    """The predictor abstains below ``threshold``: chosen on validation for ``target_accuracy`` on what it keeps."""

    target_accuracy: float = Field(gt=0, le=1)
    threshold: float = Field(ge=0, le=1)


class BaseModelRecord(_Part):
    """The pretrained encoder that training started from."""

    name: str
    sha256: str


class FileRecord(_Part):
    """Digest and size of one file of the artifact."""

    sha256: str
    bytes: int


class GoldenRecord(_Part):
    """One golden text with the probabilities of the fp32 training model, in label order."""

    text: str
    probabilities: tuple[float, ...]


class Histogram(_Part):
    """Counts between ``edges``: of values up to the first edge, above it and up to the second, ..., above the last."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Reference(_Part):
    """How predictions on texts that the model was not trained on are distributed: what those of a service are compared with.

    ``source`` says on which texts; ``characters`` is their length.
    """

    source: str
    texts: int = Field(ge=1)
    labels: dict[str, int]
    confidence: Histogram
    characters: Histogram


class Manifest(_Part):
    """What an artifact is, where it came from, and how good it is."""

    format_version: Literal[1]
    created: str
    task: str
    target: str
    labels: tuple[LabelDefinition, ...] = Field(min_length=2)
    max_length: int = Field(ge=4, le=8192, description="tokens, both special ones included")
    form: Form
    temperature: float = Field(gt=0)
    conformal: Conformal
    abstention: Abstention
    golden_tolerance: float = Field(gt=0, lt=1, description="largest allowed difference of a probability")
    base_model: BaseModelRecord
    parameters: int = Field(gt=0)
    data: dict[str, Any]
    config: dict[str, Any]
    seed: int
    packages: dict[str, str]
    git_commit: str | None
    parent: str | None
    export: dict[str, Any]
    metrics: dict[str, Any]
    reference: Reference | None = Field(default=None, description="none in artifacts that are older than it")
    files: dict[str, FileRecord]

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in the order of the head's outputs."""
        return tuple(label.name for label in self.labels)


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """Read and validate ``manifest.json``.

    Raises:
        ArtifactError: it is missing, not JSON, of another format version, or does not fit the schema.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(
            f"{directory} is no artifact: {MANIFEST} is missing. It is written last, so the artifact may be incomplete;"
            " train again, or name another model."
        ) from None
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: expected JSON, found something else ({error}).") from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: expected format_version {FORMAT_VERSION}, found {version!r}; this version of the program cannot read it."
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"{path}: {where}: {first['msg']}.") from None


def open_artifact(directory: Path) -> Manifest:
    """Return the manifest of an artifact after verifying every file that it lists.

    Raises:
        ArtifactError: a file is missing, of another size, or altered.
    """
    manifest = read_manifest(directory)
    required = {RUNTIME_XML, RUNTIME_BIN, TOKENIZER, GOLDEN}
    unlisted = sorted(required - manifest.files.keys())
    if unlisted:
        raise ArtifactError(f"{directory / MANIFEST}: expected {unlisted[0]} in files, found none.")
    for name, record in manifest.files.items():
        _verify(directory, name=name, record=record)
    return manifest


def _verify(directory: Path, *, name: str, record: FileRecord) -> None:
    path = directory / name
    if Path(name).name != name or not path.is_file():
        raise ArtifactError(f"{path}: the manifest lists this file, and it is missing.")
    size = path.stat().st_size
    if size != record.bytes:
        raise ArtifactError(f"{path}: expected {record.bytes} bytes, found {size}: the file is altered.")
    digest = sha256_of(path)
    if digest != record.sha256:
        raise ArtifactError(f"{path}: expected sha256 {record.sha256}, found {digest}: the file is altered.")


def read_golden(directory: Path, *, label_count: int) -> tuple[GoldenRecord, ...]:
    """Read the golden texts.

    Raises:
        ArtifactError: a line does not fit, or has another number of probabilities than there are labels.
    """
    path = directory / GOLDEN
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), 1):
        try:
            record = GoldenRecord.model_validate_json(line)
        except ValidationError:
            raise ArtifactError(f"{path}:{number}: not a golden record.") from None
        if len(record.probabilities) != label_count:
            raise ArtifactError(f"{path}:{number}: expected {label_count} probabilities, found {len(record.probabilities)}.")
        records.append(record)
    if not records:
        raise ArtifactError(f"{path}: expected at least one golden text, found none.")
    return tuple(records)


def seal(directory: Path, *, manifest: dict[str, Any], names: Sequence[str]) -> Manifest:
    """Write ``manifest.json``, with digests of the named files, as the artifact's last file."""
    files = {name: {"sha256": sha256_of(directory / name), "bytes": (directory / name).stat().st_size} for name in sorted(names)}
    sealed = Manifest.model_validate({**manifest, "format_version": FORMAT_VERSION, "files": files})
    temporary = directory / f"{MANIFEST}.tmp"
    temporary.write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(directory / MANIFEST)
    return sealed
