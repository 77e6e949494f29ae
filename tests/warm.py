"""Everything that a training command loads, loaded on import: what :class:`tests.commands.Commands` forks has it then."""

import os

import bentoml  # noqa: F401
import openvino.frontend.pytorch
import openvino.tools.ovc  # noqa: F401
from matplotlib.figure import Figure

import training.check
import training.retrain
import training.verdict_page  # noqa: F401
from training.base import find_base, load_encoder, load_tokenizer
from training.report import svg

base = find_base(os.environ["WARM_BASE"])
load_encoder(base)
load_tokenizer(base, max_length=128)
figure = Figure()
figure.add_subplot().plot([0, 1], [0, 1], label="a line")
figure.axes[0].legend()
svg(figure)
