"""The model store and the champion pointer.

Artifacts live in the BentoML model store, whose ``latest`` moves on every save. What is served is decided by a small JSON file
beside the store instead, replaced by an atomic rename; it remembers what it pointed to before, so that rollback can repoint it.
"""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serving.artifact import MANIFEST, TRAINING_SIDE, WEIGHTS, read_manifest, seal
from serving.errors import RegistryError

NAME = "stance"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One artifact of the store."""

    tag: str
    path: Path


def home() -> Path:
    """Return BentoML's home directory: ``$BENTOML_HOME``, or ``~/bentoml``."""
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")


def list_models() -> list[StoredModel]:
    """Return every complete artifact of the store, oldest first."""
    folder = home() / "models" / NAME
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / MANIFEST).is_file()]
    return [StoredModel(tag=f"{NAME}:{path.name}", path=path) for path in sorted(found)]


def resolve(tag: str | None = None) -> StoredModel:
    """Return the model of that tag (``stance:<version>`` or its version alone), or the champion.

    Raises:
        RegistryError: there is none.
    """
    if tag is None:
        tag = champion()
        if tag is None:
            raise RegistryError(
                f"no champion model in {home()}: train one with `stance train --promote`, or promote one of `stance models list`."
            )
    version = tag.removeprefix(f"{NAME}:")
    for model in list_models():
        if model.path.name == version:
            return model
    raise RegistryError(f"no model {NAME}:{version} in {home()}: `stance models list` names those there are.")


def served() -> StoredModel:
    """Return the model that a server of this environment serves: ``$STANCE_MODEL``, or the champion.

    Raises:
        RegistryError: there is none.
    """
    return resolve(os.environ.get("STANCE_MODEL") or None)


def place_of(tag: str) -> Path:
    """Return the directory of that tag in the store, whether or not a complete model stands there."""
    return home() / "models" / NAME / tag.removeprefix(f"{NAME}:")


def champion() -> str | None:
    """Return the tag of the model that is served, or None before the first promotion.

    A packed service has no pointer: there the one bundled model is the champion.
    """
    bundled = _bundled_tag()
    if bundled is not None:
        return bundled
    past = history()
    return past[-1] if past else None


def promote(tag: str, *, forced: bool = False) -> StoredModel:
    """Make a stored model the champion.

    Raises:
        RegistryError: there is no such model, or it was judged to be worse than a champion and is not ``forced``.
    """
    model = resolve(tag)
    verdict = verdict_of(model)
    if verdict.get("word") == "worse" and not forced:
        raise RegistryError(
            f"{model.tag} was judged to be worse than {verdict.get('champion')}: {'; '.join(verdict.get('reasons', []))}."
            " --force --reason TEXT promotes it all the same."
        )
    past = history()
    if not past or past[-1] != model.tag:
        write_history([*past, model.tag])
    return model


def verdict_of(model: StoredModel) -> dict[str, Any]:
    """Return what a model's manifest says of how it was judged against the champion of its time; empty where it was not.

    Raises:
        RegistryError: the manifest is damaged.
    """
    path = model.path / MANIFEST
    try:
        return dict(json.loads(path.read_bytes()).get("metrics", {}).get("verdict") or {})
    except ValueError as error:
        raise RegistryError(f"{path}: expected JSON, found something else ({error}).") from None


def rollback() -> StoredModel:
    """Repoint the champion to the one before it.

    Raises:
        RegistryError: there is none before it, or it is gone from the store.
    """
    past = history()
    if len(past) < 2:
        raise RegistryError("no earlier champion to roll back to: `stance models promote TAG` names one outright.")
    model = resolve(past[-2])
    write_history(past[:-1])
    return model


@contextmanager
def save(tag: str, *, metadata: dict[str, str]) -> Iterator[Path]:
    """Yield an empty directory that becomes the model of that tag when the block ends well, and vanishes when it does not."""
    import bentoml

    clear_incomplete(tag)
    with bentoml.models.create(tag, labels=metadata) as model:
        yield Path(model.path)


def store(tag: str, folder: Path, *, manifest: dict[str, Any], names: Sequence[str]) -> StoredModel:
    """Copy the named files of a folder into the model store and seal them there, so that the manifest is the last file."""
    with save(tag, metadata={"task": manifest["task"]}) as place:
        for name in names:
            shutil.copy2(folder / name, place / name)
    _readable(tag)
    seal(place_of(tag), manifest=manifest, names=names)
    return resolve(tag)


def export_model(tag: str, path: Path, *, serving_only: bool = False) -> Path:
    """Write a model into one file that :func:`import_model` reads on any machine; return the file's path.

    ``serving_only`` leaves out what a server does not need (:data:`~serving.artifact.TRAINING_SIDE`): what is written is an
    artifact of its own, tagged ``<tag>-serving``, whose parent is the whole one.

    Raises:
        RegistryError: there is no such model, or the file exists or cannot be written.
    """
    model = resolve(tag)
    path = path.resolve()  # BentoML takes a relative one from the root
    if path.exists():
        raise RegistryError(f"{path}: exists already; name a new file.")
    if not serving_only:
        return _write(model, path)
    with _serving_only(model) as smaller:
        return _write(smaller, path)


def _write(model: StoredModel, path: Path) -> Path:
    import bentoml

    try:
        return Path(bentoml.models.export_model(model.tag, str(path), output_format=path.suffix.lstrip(".") or None))
    except (OSError, ValueError, bentoml.exceptions.BentoMLException) as error:
        raise RegistryError(f"{path}: cannot be written ({error}).") from None


@contextmanager
def _serving_only(model: StoredModel) -> Iterator[StoredModel]:
    """Yield a copy of the model without its training-side weights, which stands in the store while the block runs.

    A model that has none is yielded itself, and a copy that stands there already stays.
    """
    import bentoml

    manifest = read_manifest(model.path)
    tag = f"{model.tag}-serving"
    if WEIGHTS not in manifest.files or (place_of(tag) / MANIFEST).is_file():
        yield model if WEIGHTS not in manifest.files else resolve(tag)
        return
    names = [name for name in manifest.files if name not in TRAINING_SIDE]
    kept = manifest.model_dump(mode="json", exclude={"files", "format_version"})
    try:
        yield store(tag, model.path, manifest={**kept, "parent": model.tag}, names=names)
    finally:
        bentoml.models.delete(tag)


def import_model(path: Path) -> tuple[StoredModel, bool]:
    """Put a model that :func:`export_model` wrote into the store; return it, and whether it was not there before.

    Raises:
        RegistryError: the file is no exported model.
    """
    import bentoml

    try:
        with tarfile.open(path) as archive:
            (described,) = (member for member in archive if Path(member.name) == Path("model.yaml"))
            content = yaml.safe_load(archive.extractfile(described) or b"")
        tag = f"{content['name']}:{content['version']}"
        new = not (place_of(tag) / MANIFEST).is_file()
        if new:
            clear_incomplete(tag)
            bentoml.models.import_model(str(path.resolve()))
            _readable(tag)
    except Exception as error:  # a damaged archive fails in many ways
        raise RegistryError(f"{path}: expected a file of `stance models export`, found something else ({error}).") from None
    return resolve(tag), new


def _readable(tag: str) -> None:
    """Let those read a model who may read the store: BentoML makes its directory for the owner alone."""
    place = place_of(tag)
    place.chmod(place.parent.stat().st_mode & 0o777)


def clear_incomplete(tag: str) -> None:
    """Remove what a killed run left half-written in that tag's place: without its manifest it is no artifact.

    So is BentoML's ``latest`` where it names what is not there: BentoML could save nothing more.
    """
    if not (place_of(tag) / MANIFEST).is_file():
        shutil.rmtree(place_of(tag), ignore_errors=True)
    latest = place_of("latest")
    if latest.is_file() and not (place_of(latest.read_text(encoding="utf-8").strip() or "latest") / "model.yaml").is_file():
        latest.unlink()


def delete(tag: str) -> None:
    """Remove a model from the store.

    Raises:
        RegistryError: it is the champion, or there is no such model.
    """
    import bentoml

    model = resolve(tag)
    if model.tag == champion():
        raise RegistryError(f"{model.tag} is the champion: promote another model first.")
    bentoml.models.delete(model.tag)


def _pointer() -> Path:
    return home() / f"{NAME}-champion.json"


def history() -> list[str]:
    """Return the tags of all champions, the present one last.

    Raises:
        RegistryError: the champion pointer is damaged.
    """
    try:
        content = json.loads(_pointer().read_text(encoding="utf-8"))
        return [str(tag) for tag in content["history"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"{_pointer()}: expected a champion pointer, found something else ({error}); `stance models promote TAG` after"
            " removing it writes a new one."
        ) from None


def write_history(tags: list[str]) -> None:
    """Replace the champion pointer: the last of ``tags`` is served, those before it are what rollback goes back to."""
    pointer = _pointer()
    pointer.parent.mkdir(parents=True, exist_ok=True)
    temporary = pointer.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"champion": tags[-1], "history": tags}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(pointer)


def _bundled_tag() -> str | None:
    """Return the model that the bento around this package names, or None outside a bento."""
    description = Path(__file__).parents[2] / "bento.yaml"
    if not description.is_file():
        return None
    content = yaml.safe_load(description.read_text(encoding="utf-8"))
    holders = [content, *content.get("services", [])]
    tags = [str(model["tag"]) for holder in holders for model in holder.get("models") or []]
    return next((tag for tag in tags if tag.startswith(f"{NAME}:")), None)
