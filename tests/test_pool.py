"""What the pool of actors does as they answer, die and start; Ray itself is played by a few lines, test_ray.py has the real one."""

from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from serving import pool as module
from serving.errors import ClusterError
from serving.pool import Pool


class Actors:
    """In place of Ray: an actor answers with ten times its argument, or dies of it; the newest call is answered first."""

    def __init__(self, deadly=(), lasting=(), refuse=None):
        self.deadly, self.lasting, self.refuse = set(deadly), set(lasting), refuse
        self.deaths = self.started = 0
        self.most_under_way = 0

    def start(self):
        self.started += 1
        handle = SimpleNamespace(dead=False)
        handle.score = SimpleNamespace(remote=lambda argument: Reference(handle, argument))
        return handle, Reference(handle, None)

    def wait(self, references, *, num_returns, timeout):
        self.most_under_way = max(self.most_under_way, len(references))
        starts = [reference for reference in references if reference.argument is None]
        return starts[:1] or references[-1:], []

    def get(self, reference):
        if reference.argument is None:
            if self.refuse:
                raise self.refuse
            return None
        if reference.argument in self.deadly | self.lasting and not reference.actor.dead:
            self.deadly.discard(reference.argument)
            reference.actor.dead = True
            self.deaths += 1
        if reference.actor.dead:
            raise ActorDiedError()
        return 10 * reference.argument

    def kill(self, handle):
        handle.dead = True


class Reference:
    def __init__(self, actor, argument):
        self.actor, self.argument = actor, argument


@pytest.fixture
def pool(monkeypatch):
    def make(actors, size):
        monkeypatch.setattr(module, "ray", actors)
        return Pool(actors.start, size=size, warn=warnings.append)

    warnings = []
    make.warnings = warnings
    return make


def test_answers_come_in_order_whatever_order_they_are_made_in(pool):
    actors = Actors()
    made = pool(actors, 3)
    given = [(1,), None, (2,), None, *((n,) for n in range(3, 60))]
    assert list(made.ordered(iter(given))) == [10, None, 20, None, *(10 * n for n in range(3, 60))]
    assert actors.most_under_way <= 3 * module.CALLS_PER_ACTOR
    assert list(made.ordered(iter([]))) == []


def test_no_more_is_taken_than_keeps_the_actors_busy(pool):
    taken = []
    stream = pool(Actors(), 2).ordered((n,) for n in range(1, 1000) if taken.append(n) is None)
    assert [next(stream), next(stream)] == [10, 20]
    assert len(taken) <= 2 + 2 * module.CALLS_AHEAD_PER_ACTOR


def test_what_dies_with_an_actor_is_done_by_another(pool):
    actors = Actors(deadly=[5, 6, 40])
    made = pool(actors, 2)
    assert list(made.ordered((n,) for n in range(1, 50))) == [10 * n for n in range(1, 50)]
    assert (actors.deaths, actors.started) == (3, 5)
    assert pool.warnings == [
        "all 2 actors have started",
        *["an actor was lost; 1 of 2 go on, what it had under way is done again", "all 2 actors have started"] * 3,
    ]


def test_what_kills_every_actor_ends_the_run_with_one_error(pool):
    actors = Actors(lasting=[3])
    stream = pool(actors, 2).ordered((n,) for n in range(10))
    found = []
    with pytest.raises(ClusterError, match="chunk 3 of this run was lost 4 times"):
        found += stream
    assert actors.deaths == module.TRIES


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RayTaskError("load", "", ValueError("altered")), "an actor cannot load the model: altered"),
        (
            RayActorError(
                error_msg="The actor died because of an error raised in its creation task, x\nModuleNotFoundError: no y"
            ),
            r"an actor cannot start \(ModuleNotFoundError: no y\): has every machine of the cluster this program",
        ),
        (RayActorError(error_msg="its node has died"), r"6 actors died while they started \(its node has died\)"),
    ],
)
def test_actors_that_cannot_start_end_the_run_with_their_reason(pool, error, message):
    with pytest.raises(ClusterError, match=message):
        pool(Actors(refuse=error), 2).wait()


def test_a_cluster_without_room_is_told_and_given_up(pool, monkeypatch):
    actors = Actors()
    made = pool(actors, 1)
    monkeypatch.setattr(actors, "wait", lambda references, **_: ([], references))
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(module.time, "monotonic", lambda: made._none_since + next(clock))
    with pytest.raises(ClusterError, match="no actor has started for 600 s"):
        made.wait()
    assert pool.warnings[0] == "waiting for room in the cluster: 0 of 1 actors have started"
