"""Actors of a Ray cluster that each hold the model.

Calls go out, answers come back in order, and what an actor takes with it when it dies is given to another.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from serving.errors import ClusterError

CALLS_PER_ACTOR = 2
"""One under way, and one that is there already when it ends."""

CALLS_AHEAD_PER_ACTOR = 8
"""Calls taken and not yet answered in order: a slow machine holds the others up only after so many."""

TRIES = 4
"""What so many actors died with is not given to one more: it may be what kills them."""

STARTS_WITHIN_SECONDS = 600.0
"""A cluster that grows with demand has a machine by then."""

TOLD_EVERY_SECONDS = 30.0
TICK_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Actor:
    handle: Any
    calls: int = 0


@dataclass(slots=True, eq=False)
class _Call:
    index: int
    arguments: tuple[Any, ...]
    actor: _Actor | None = None
    tries: int = 0


class Pool:
    """A number of actors, each replaced when it dies; those that the cluster has no room for wait until it has."""

    def __init__(self, start: Callable[[], tuple[Any, Any]], *, size: int, warn: Callable[[str], None]) -> None:
        """Start ``size`` actors with ``start``, which returns an actor and the reference that stands for its start."""
        self.size = size
        self._start, self._warn = start, warn
        self._alive: list[_Actor] = []
        self._starting: dict[Any, _Actor] = {}
        self._failed_starts = 0
        self._none_since = self._told = time.monotonic()
        for _ in range(size):
            self._add()

    def wait(self, count: int = 1) -> None:
        """Return once so many actors have started.

        Raises:
            ClusterError: one cannot start, or the cluster has no room for one for a long time.
        """
        while len(self._alive) < count:
            self._turn({})

    def ordered(self, arguments: Iterator[tuple[Any, ...] | None]) -> Iterator[Any]:
        """Yield what the method ``score`` of some actor returns for each of the arguments, in order, and None for None.

        Raises:
            ClusterError: it raised an error, several actors died with the same call, or none can be had.
        """
        flow = _Flow(arguments)
        for actor in self._alive:
            actor.calls = 0
        while True:
            self._fill(flow)
            if flow.given in flow.answers:
                yield flow.answers.pop(flow.given)
                flow.given += 1
            elif flow.ended and flow.given == flow.taken:
                return
            else:
                self._answer(flow)

    def close(self) -> None:
        """End all actors."""
        for actor in [*self._alive, *self._starting.values()]:
            self._end(actor)
        self._alive, self._starting = [], {}

    def _add(self) -> None:
        handle, started = self._start()
        self._starting[started] = _Actor(handle)

    def _end(self, actor: _Actor) -> None:
        with suppress(RayError, ValueError):  # one that is dead already
            ray.kill(actor.handle)

    def _bury(self, actor: _Actor) -> None:
        """Replace an actor that does not answer, the first time that this is found."""
        if actor in self._alive:
            self._alive.remove(actor)
            self._none_since = time.monotonic()
            self._end(actor)
            self._warn(f"an actor was lost; {len(self._alive)} of {self.size} go on, what it had under way is done again")
            self._add()

    def _fill(self, flow: "_Flow") -> None:
        """Send calls while an actor has room for one."""
        ahead = CALLS_AHEAD_PER_ACTOR * self.size
        for _ in range(CALLS_PER_ACTOR * len(self._alive)):
            actor = min(self._alive, key=lambda actor: actor.calls)
            call = flow.next(ahead) if actor.calls < CALLS_PER_ACTOR else None
            if call is None:
                return
            call.actor = actor
            actor.calls += 1
            flow.calls[actor.handle.score.remote(*call.arguments)] = call

    def _answer(self, flow: "_Flow") -> None:
        """Wait for an answer, and take it in or see to it that the call is made again."""
        reference = self._turn(flow.calls)
        if reference is None:
            return
        call = flow.calls.pop(reference)
        assert call.actor is not None
        call.actor.calls -= 1
        try:
            flow.answers[call.index] = ray.get(reference)
        except RayTaskError as error:
            raise ClusterError(f"an actor failed: {_told(error)}") from None
        except RayError as error:
            self._bury(call.actor)
            call.tries += 1
            if call.tries == TRIES:
                raise ClusterError(
                    f"chunk {call.index} of this run was lost {TRIES} times with the actor that had it ({_told(error)});"
                    " does it need more memory than a machine has?"
                ) from None
            flow.lost.append(call)

    def _turn(self, calls: dict[Any, _Call]) -> Any | None:
        """Wait a little for a call to be answered, and return its reference, or for an actor to start."""
        ready, _ = ray.wait([*calls, *self._starting], num_returns=1, timeout=TICK_SECONDS)
        if not ready:
            self._tell()
        elif ready[0] in calls:
            return ready[0]
        else:
            self._started(ready[0])
        return None

    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayTaskError as error:
            raise ClusterError(f"an actor cannot load the model: {_told(error)}") from None
        except RayError as error:
            if "creation task" in str(error):  # its class cannot be read there
                raise ClusterError(
                    f"an actor cannot start ({str(error).strip().splitlines()[-1].strip()}): has every machine of the cluster"
                    " this program, of the same version?"
                ) from None
            self._failed_starts += 1
            if self._failed_starts >= self.size + TRIES:
                raise ClusterError(f"{self._failed_starts} actors died while they started ({_told(error)}).") from None
            self._warn(f"an actor died while it started ({_told(error)})")
            self._add()
        else:
            self._failed_starts = 0
            self._alive.append(actor)
            if len(self._alive) == self.size > 1:
                self._warn(f"all {self.size} actors have started")

    def _tell(self) -> None:
        """Say now and then that no actor is there, and give up in the end."""
        now = time.monotonic()
        if self._alive:
            return
        if now - self._none_since > STARTS_WITHIN_SECONDS:
            raise ClusterError(f"no actor has started for {STARTS_WITHIN_SECONDS:.0f} s: the cluster has no room for one.")
        if now - max(self._told, self._none_since) > TOLD_EVERY_SECONDS:
            self._told = now
            self._warn(f"waiting for room in the cluster: 0 of {self.size} actors have started")


class _Flow:
    """The calls of one use of a pool: which are under way, which were lost, which are answered and wait for their turn."""

    def __init__(self, arguments: Iterator[tuple[Any, ...] | None]) -> None:
        self.calls: dict[Any, _Call] = {}
        self.lost: list[_Call] = []
        self.answers: dict[int, Any] = {}
        self.taken = self.given = 0
        self.ended = False
        self._arguments = arguments

    def next(self, ahead: int) -> _Call | None:
        """Return the next call to make, an earlier one that was lost before all others, or None where there is none now."""
        if self.lost:
            self.lost.sort(key=lambda call: call.index)
            return self.lost.pop(0)
        while not self.ended and self.taken - self.given < ahead:
            try:
                arguments = next(self._arguments)
            except StopIteration:
                self.ended = True
                break
            self.taken += 1
            if arguments is not None:
                return _Call(index=self.taken - 1, arguments=arguments)
            self.answers[self.taken - 1] = None
        return None


def _told(error: Exception) -> str:
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
