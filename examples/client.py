"""Ask a running service with BentoML's own clients; the answers become the service's own types.

Example: python -m examples.client http://127.0.0.1:3000
"""

import asyncio
import os
import sys

import bentoml

from serving.schema import ExplainResponse, PredictResponse

TEXTS = ["The so-called assessment is a patchwork of lies.", "The report was published on 31 August 2022."]


def predict(url: str, texts: list[str], *, key: str | None = None) -> PredictResponse:
    """Return the stance of every text; ``key`` where the service asks for one.

    Raises:
        bentoml.exceptions.BentoMLException: the service refused or failed; the message holds its problem.
    """
    with bentoml.SyncHTTPClient(url, token=key, server_ready_timeout=30) as client:
        return PredictResponse.model_validate(client.predict(texts=texts))


async def explain(url: str, texts: list[str], *, key: str | None = None) -> list[ExplainResponse]:
    """Return what each word of every text does, asked all at once."""
    async with bentoml.AsyncHTTPClient(url, token=key, server_ready_timeout=30) as client:
        answers = await asyncio.gather(*(client.explain(text=text) for text in texts))
    return [ExplainResponse.model_validate(answer) for answer in answers]


def main() -> None:
    """Print a line a text: its label, its confidence and the word that says most for it."""
    url, key = sys.argv[1], os.environ.get("STANCE_API_KEY")
    predictions = predict(url, TEXTS, key=key).predictions
    for prediction, explanation in zip(predictions, asyncio.run(explain(url, TEXTS, key=key)), strict=True):
        decisive = max(explanation.words, key=lambda word: word.contribution)
        print(f"{prediction.label} {prediction.confidence:.2f} {decisive.word} {decisive.contribution:+.3f}")


if __name__ == "__main__":
    main()
