"""LitServe's batching over the transformers model. The argument is the port."""

import os
import sys
from typing import Any

import litserve
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

MAX_BATCH_SIZE = 32
"""Requests that are computed together."""
BATCH_TIMEOUT_S = 0.01
"""How long the first request of a batch waits for others."""


class BatchingAPI(litserve.LitAPI):
    """Classifies the texts of a request, of several requests at once where they wait together."""

    def setup(self, device: str) -> None:
        """Load model and tokenizer."""
        folder = os.environ["STANCE_BENCH_MODEL"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval().to(device)

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """Return the texts of a request."""
        return list(request["texts"])

    def predict(self, requests: list[list[str]]) -> list[list[list[float]]]:
        """Return a row of probabilities for each text of each request."""
        inputs = self.tokenizer(
            [text for texts in requests for text in texts], padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            rows = iter(self.model(**inputs).logits.softmax(dim=1).tolist())
        return [[next(rows) for _ in texts] for texts in requests]

    def encode_response(self, rows: list[list[float]]) -> dict[str, list[dict[str, float]]]:
        """Return the answer to a request: the labels of every text with their probabilities, in order."""
        labels = self.model.config.id2label
        return {"predictions": [{labels[index]: value for index, value in enumerate(row)} for row in rows]}


def main() -> None:
    """Serve until ended."""
    api = BatchingAPI(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", devices=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)


if __name__ == "__main__":
    main()
