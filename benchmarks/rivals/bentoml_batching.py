"""BentoML's adaptive batching over this project's own predictor: nothing but the batching differs."""

import bentoml

from serving.predictor import Predictor
from serving.schema import TextPrediction


@bentoml.service(name="bentoml_batching")
class BatchingService:
    """Classifies the stance of texts, of several requests at once where they wait together."""

    def __init__(self) -> None:
        """Load the champion."""
        self.predictor = Predictor.load()

    @bentoml.api(route="/predict", batchable=True)
    def predict(self, texts: list[str]) -> list[TextPrediction]:
        """Return the stance of every text, in order."""
        return [TextPrediction.of(prediction) for prediction in self.predictor.predict(texts)]
