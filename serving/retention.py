"""Which models of the store are kept, and which may go."""

import itertools
from dataclasses import dataclass

from serving import registry
from serving.errors import RegistryError
from serving.registry import StoredModel


@dataclass(frozen=True, slots=True)
class Retention:
    """The models that stay, each with the reason, and those that go; oldest first."""

    kept: list[tuple[StoredModel, str]]
    removed: list[StoredModel]


def plan(keep: int) -> Retention:
    """Keep the champion, the ``keep`` champions before it, and what came after it and has not been decided on.

    Raises:
        RegistryError: there is no champion, so that nothing says what is old.
    """
    champion = registry.champion()
    if champion is None:
        raise RegistryError(f"no champion model in {registry.home()}: promote one first, so that what is old can be told.")
    before = list(dict.fromkeys(tag for tag in reversed(registry.history()) if tag != champion))[:keep]
    kept: list[tuple[StoredModel, str]] = []
    removed = []
    models = registry.list_models()
    newest = max((index for index, model in enumerate(models) if model.tag == champion), default=len(models))
    for index, model in enumerate(models):
        if model.tag == champion:
            kept.append((model, "champion"))
        elif model.tag in before:
            kept.append((model, "earlier champion"))
        elif index > newest and model.tag not in registry.history():
            kept.append((model, "newer than the champion"))
        else:
            removed.append(model)
    return Retention(kept, removed)


def carry_out(retention: Retention) -> None:
    """Remove what goes: first from what rollback goes back to, so that a kill in between leaves no pointer to nothing.

    Raises:
        RegistryError: the champion is another than when this was planned, and one of those that go.
    """
    gone = {model.tag for model in retention.removed}
    past = registry.history()
    if gone & set(past):
        left = [tag for tag in past[:-1] if tag not in gone]
        registry.write_history([tag for tag, _ in itertools.groupby([*left, past[-1]])])
    for model in retention.removed:
        registry.delete(model.tag)
