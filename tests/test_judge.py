"""The judgement itself: on answers whose difference is known."""

import numpy as np
import pytest

from training.judge import COST_LIMIT, MIN_TEXTS, SAMPLES, capability, judge, judge_set, mcnemar, paired_bootstrap
from training.metrics import macro_f1
from training.verdict import Cost, Pair
from training.verdict_page import render

LABELS = ("for", "against", "none")
SAME = Cost(megabytes=Pair(champion=10, challenger=10), texts_per_second=Pair(champion=100, challenger=100))


def answers(truth, wrong, *, sure=0.9):
    """Probabilities that name the true label but for the places in ``wrong``, which name the next one."""
    named = truth.copy()
    named[list(wrong)] = (named[list(wrong)] + 1) % len(LABELS)
    probabilities = np.full((len(truth), len(LABELS)), (1 - sure) / (len(LABELS) - 1))
    probabilities[np.arange(len(truth)), named] = sure
    return probabilities


def judged(champion_wrong, challenger_wrong, *, texts=300, sure=0.9):
    truth = np.arange(texts) % len(LABELS)
    first, second = answers(truth, champion_wrong), answers(truth, challenger_wrong, sure=sure)
    rows = [(f"file.csv:{i}", f"text {i}") for i in range(texts)]
    return judge_set(truth, first, second, labels=LABELS, rows=rows)


def whole(*sets, behaviour=None, cost=SAME):
    named = {f"set {i}": found for i, found in enumerate(sets)}
    return judge(named, slices={}, behaviour=behaviour or {}, cost=cost, tags=("stance:a", "stance:b"))


BETTER, WORSE, SAME_SET = judged(range(60), range(30)), judged(range(30), range(60)), judged(range(30), range(30))
NOISY = judged([*range(30), 100], [*range(30), 101, 104, 107, 110, 113])


def test_the_four_words():
    assert (BETTER.word, WORSE.word, SAME_SET.word) == ("better", "worse", "no measurable change")
    mixed = judged([*range(30), 100, 103, 106], [*range(30), 101, 104, 107, 110, 113, 116])
    assert (mixed.lost, mixed.gained, mixed.word) == (6, 3, "no measurable change")
    assert (NOISY.lost, NOISY.gained, NOISY.word) == (5, 1, "worse within noise")
    assert NOISY.interval_95[1] >= 0 > NOISY.interval_80[1]


def test_the_whole_is_as_bad_as_its_worst_part():
    assert whole(BETTER, SAME_SET).word == "better"
    assert whole(BETTER, NOISY).word == "worse within noise"
    assert whole(BETTER, WORSE).word == "worse"
    assert whole(SAME_SET).word == "no measurable change"


def test_a_set_of_few_texts_is_shown_and_decides_nothing():
    few = judged(range(10), [], texts=MIN_TEXTS - 1)
    assert (few.judged, few.word) == (False, "no measurable change")
    found = whole(SAME_SET, few)
    assert found.word == "no measurable change"
    assert found.reasons[-1] == f"set 1: {MIN_TEXTS - 1} texts, too few to judge by ({MIN_TEXTS})"


def test_the_bootstrap_is_that_of_drawing_texts_one_by_one():
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 3, 200)
    first, second = (np.where(generator.random(200) < share, truth, generator.integers(0, 3, 200)) for share in (0.6, 0.7))
    drawn = generator.integers(0, 200, (SAMPLES, 200))
    plain = [macro_f1(truth[i], second[i]) - macro_f1(truth[i], first[i]) for i in drawn]
    found = paired_bootstrap(truth, first, second)
    assert found.mean() == pytest.approx(np.mean(plain), abs=0.004)
    assert np.percentile(found, [2.5, 97.5]) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.008)


def test_mcnemar_is_exact():
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    assert mcnemar(5, 0) == mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)


def test_a_recall_below_its_floor_is_worse_however_good_the_rest():
    lost = range(0, 90, 3)  # of the label "for"
    gained = [i for i in range(300) if i % 3]
    found = judged(gained, lost)
    assert found.difference > 0
    assert found.word == "worse"
    assert found.faults == ["recall of for fell from 1.000 to 0.700, below its floor"]


def test_probabilities_that_say_too_much_are_worse():
    wrong = range(0, 300, 5)  # spread evenly, so that every bin of confidence holds its share
    found = judged(wrong, wrong, sure=0.999)
    assert (found.lost, found.gained, found.word) == (0, 0, "worse")
    assert found.faults[0].startswith("calibration error rose from 0.100 to 0.199")


def test_behaviour_and_cost_have_their_say():
    lost = capability(["c1"], ["c1", *(f"d{i}" for i in range(12))], cases=40)
    assert (lost.champion, lost.challenger, lost.gained, len(lost.lost)) == (39, 27, 0, 12)
    found = whole(BETTER, behaviour={"negation": lost})
    assert (found.word, found.reasons[-1]) == ("worse", "behavioural tests of negation: 27 of 40 passed, 39 before")
    one = capability([], ["d1"], cases=40)
    assert whole(BETTER, behaviour={"negation": one}).word == "better"
    slow = SAME.model_copy(update={"texts_per_second": Pair(champion=100, challenger=99 / COST_LIMIT)})
    assert whole(BETTER, cost=slow).reasons[-1] == "66 texts a second, 100 before"
    large = SAME.model_copy(update={"megabytes": Pair(champion=10, challenger=10 * COST_LIMIT)})
    assert whole(BETTER, cost=large).word == "better"


def test_negative_flips_are_listed_and_kept_out_of_the_manifest():
    found = judged([7], [3, 4])
    assert [(flip.where, flip.text, flip.label) for flip in found.flips] == [
        ("file.csv:3", "text 3", "for"),
        ("file.csv:4", "text 4", "against"),
    ]
    assert "text 3" not in str(whole(found).summary())
    page = render(whole(found), target="<a> target")
    assert "text 3" in page
    assert "&lt;a&gt; target" in page
    assert page.count("<svg") == 3
    assert "src=" not in page
    assert "<link" not in page
