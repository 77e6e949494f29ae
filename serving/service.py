"""The BentoML service. Importing this module names the model to serve; the worker that starts it loads the model."""

import os
from pathlib import Path

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving import artifact, registry
from serving.gateway import Gateway
from serving.openapi import describe
from serving.predictor import Predictor
from serving.schema import PredictResponse, TextPrediction, Texts
from serving.settings import settings


async def show_model(_: Request) -> Response:
    """Answer ``GET /model``: the manifest without its file list, and the model card as text."""
    return JSONResponse(bentoml.get_current_service().model_description())


async def show_openapi(_: Request) -> Response:
    """Answer ``GET /docs.json``: BentoML's description of the calls with this service's own errors."""
    return JSONResponse(describe(StanceService.openapi_spec.asdict()))  # type: ignore[attr-defined]


pages = Starlette(routes=[Route("/model", show_model), Route("/docs.json", show_openapi)])


@bentoml.asgi_app(pages, path="/")
@bentoml.service(
    name="stance",
    workers=settings().workers,
    traffic={"timeout": 2 * settings().timeout_seconds},  # the gateway's own, which answers with a problem, comes first
)
class StanceService:
    """Classifies the stance of texts toward the target that the served model names."""

    model = bentoml.models.BentoModel(registry.served().tag)

    def __init__(self) -> None:
        """Load and verify the artifact; the service is ready when this returns."""
        self.directory = Path(self.model.path)
        self.predictor = Predictor.from_directory(self.directory, tag=str(self.model.tag))

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, texts: Texts) -> PredictResponse:
        """Return the stance of every text, in order."""
        return PredictResponse(
            model=self.predictor.tag,
            predictions=[TextPrediction.of(prediction) for prediction in self.predictor.predict(texts)],
        )

    def model_description(self) -> dict[str, object]:
        """Return the manifest without its file list, and the model card."""
        card = self.directory / artifact.MODEL_CARD
        return {
            "model": self.predictor.tag,
            **self.predictor.manifest.model_dump(mode="json", exclude={"files"}),
            "model_card": card.read_text(encoding="utf-8") if card.is_file() else "",
        }


StanceService.add_asgi_middleware(Gateway)  # type: ignore[attr-defined]
