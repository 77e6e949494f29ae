"""FastAPI and transformers' pipeline: one endpoint that calls the pipeline for each request."""

import os

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
classifier = pipeline("text-classification", model=os.environ["STANCE_BENCH_MODEL"], top_k=None)


class Request(BaseModel):
    """The body of a request."""

    texts: list[str]


@app.post("/predict")
def predict(request: Request) -> dict[str, list[list[dict[str, str | float]]]]:
    """Return the labels of every text with their probabilities, in order."""
    return {"predictions": classifier(request.texts, truncation=True)}


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Answer once the model is loaded."""
    return {}
