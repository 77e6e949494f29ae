"""The BentoML service. Importing this module names the model to serve; the worker that starts it loads the model."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving import article, artifact, logs, metrics, registry, ui
from serving.batching import INLINE_CHARACTERS, Batcher
from serving.errors import StanceError
from serving.gateway import Gateway
from serving.inbox import Inbox
from serving.lifecycle import lifecycle
from serving.monitor import Monitor
from serving.openapi import describe
from serving.predictor import Prediction, Predictor
from serving.registry import StoredModel
from serving.schema import (
    AnalyzeResponse,
    Article,
    ClassificationParameters,
    ClassificationResponse,
    CorrectionResponse,
    ExplainResponse,
    KnownLabel,
    Name,
    PredictResponse,
    Text,
    TextPrediction,
    Texts,
)
from serving.settings import processors, settings

SECONDS_BETWEEN_LOOKS = 1.0

logger = logging.getLogger("bentoml.stance")
logs.configure()


async def show_model(_: Request) -> Response:
    """Answer ``GET /model``: the manifest without its file list, and the model card as text."""
    return JSONResponse(bentoml.get_current_service().model_description())


async def show_openapi(_: Request) -> Response:
    """Answer ``GET /docs.json``: BentoML's description of the calls with this service's own errors."""
    return JSONResponse(describe(StanceService.openapi_spec.asdict()))  # type: ignore[attr-defined]


async def show_metrics(_: Request) -> Response:
    """Answer ``GET /metrics``: the metrics of every worker, in the text format of Prometheus."""
    client = BentoMLContainer.metrics_client.get()
    return Response(client.generate_latest(), media_type=client.CONTENT_TYPE_LATEST)


pages = Starlette(
    routes=[Route("/model", show_model), Route("/docs.json", show_openapi), Route("/metrics", show_metrics), *ui.ROUTES]
)


@bentoml.asgi_app(pages, path="/")
@bentoml.service(
    name="stance",
    workers=settings().workers,
    traffic={"timeout": 2 * settings().timeout_seconds},  # the gateway's own, which answers with a problem, comes first
    metrics={"enabled": False},  # they label whatever path a client makes up; serving/metrics.py counts instead
    logging={"access": {"enabled": False}},  # logs such paths, too
)
class StanceService:
    """Classifies the stance of texts toward the target that the served model names."""

    model = bentoml.models.BentoModel(registry.served().tag)

    def __init__(self) -> None:
        """Load and verify the artifact; the service is ready when this returns."""
        self._use(registry.served())
        self._inbox = Inbox()
        # one: reading a long article is Python's work, which shares no cores
        self._reading = ThreadPoolExecutor(1, "stance-read")
        self._monitor = Monitor() if settings().monitor else None

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Follow the champion, and end well when the server is told to stop."""
        lifecycle.drain_on_signal(seconds=settings().timeout_seconds)
        self._following = asyncio.create_task(self._follow())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Follow no more, and end the threads."""
        self._following.cancel()
        self.batcher.close()
        self._inbox.close()
        self._reading.shutdown(wait=False)
        if self._monitor:
            await asyncio.to_thread(self._monitor.close)

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    async def predict(self, texts: Texts) -> PredictResponse:
        """Return the stance of every text, in order."""
        batcher = self.batcher  # one model for the whole answer, whatever is promoted meanwhile
        predictions = await batcher.predict(texts)
        self._record(texts, predictions, model=batcher.predictor.tag)
        return PredictResponse(
            model=batcher.predictor.tag,
            predictions=[TextPrediction.of(prediction) for prediction in predictions],
        )

    @bentoml.api(route="/explain")  # type: ignore[untyped-decorator]
    async def explain(self, text: Text) -> ExplainResponse:
        """Return what each word of the text does to its prediction."""
        batcher = self.batcher
        return ExplainResponse.of(await batcher.explain(text), model=batcher.predictor.tag)

    @bentoml.api(route="/text-classification")  # type: ignore[untyped-decorator]
    async def text_classification(
        self, inputs: Texts, parameters: ClassificationParameters | None = None
    ) -> ClassificationResponse:
        """Answer Hugging Face's text-classification protocol: every label with its score, likeliest first, a list a text."""
        batcher = self.batcher
        predictions = await batcher.predict(inputs)
        self._record(inputs, predictions, model=batcher.predictor.tag)
        return ClassificationResponse.of(predictions, parameters)

    @bentoml.api(route="/corrections")  # type: ignore[untyped-decorator]
    async def corrections(
        self, text: Text, label: KnownLabel, model: Name, predicted: KnownLabel, annotator: Name | None = None
    ) -> CorrectionResponse:
        """Store what the label of a text should be, for retraining; the same again is stored once."""
        from serving.corrections import Correction

        task = self.batcher.predictor.manifest.task
        correction = Correction(task, text=text, label=label, model=model, predicted=predicted, annotator=annotator or "")
        stored = await self._inbox.add(correction)
        metrics.CORRECTIONS.inc()
        return CorrectionResponse(id=stored)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the model that is served."""
        return self.batcher.predictor.labels

    @bentoml.api(route="/analyze")  # type: ignore[untyped-decorator]
    async def analyze(self, text: Article) -> AnalyzeResponse:
        """Return the sentences of an article, who voices each, its stance, and the sum of it.

        Raises:
            DataError: it has too many sentences.
        """
        batcher = self.batcher
        most = settings().article_sentences
        if len(text) <= INLINE_CHARACTERS:
            sentences = article.read(text, most=most)
        else:
            sentences = await asyncio.get_running_loop().run_in_executor(self._reading, partial(article.read, text, most=most))
        predictions = await article.score(batcher, sentences)
        self._record([sentence.text for sentence in sentences], predictions, model=batcher.predictor.tag)
        return article.answer(sentences, predictions, model=batcher.predictor.tag)

    def _record(self, texts: Sequence[str], predictions: Sequence[Prediction], *, model: str) -> None:
        """Count predictions, and give them to the monitor where there is one."""
        metrics.count_predictions(predictions)
        if self._monitor:
            self._monitor.record(texts, predictions, model=model)

    def refuse_if_full(self) -> None:
        """Refuse what would have to wait too long.

        Raises:
            QueueFull: it would.
        """
        self.batcher.refuse_if_full()

    def model_description(self) -> dict[str, object]:
        """Return the manifest without its file list, and the model card."""
        predictor = self.batcher.predictor
        card = self.served.path / artifact.MODEL_CARD
        return {
            "model": predictor.tag,
            **predictor.manifest.model_dump(mode="json", exclude={"files"}),
            "model_card": card.read_text(encoding="utf-8") if card.is_file() else "",
        }

    def _use(self, model: StoredModel) -> None:
        """Load a model and answer with it from now on; what is under way is answered by the model that it began with.

        Raises:
            ArtifactError: the model is damaged.
        """
        predictor = Predictor.from_directory(model.path, tag=model.tag, threads=max(1, processors() // settings().workers))
        predictor.on_batch = metrics.count_batch
        self.served, self.batcher = model, Batcher(predictor, queue_seconds=settings().queue_seconds)

    async def _follow(self) -> None:
        """Serve whatever model is promoted; one that cannot be loaded is told in the log once, and the one before it stays."""
        refused = None
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            with contextlib.suppress(StanceError):  # no champion for a moment: the one that is served goes on
                model = registry.served()
                if model.tag in (self.served.tag, refused):
                    continue
                before = self.batcher
                try:
                    await asyncio.to_thread(self._use, model)
                except StanceError as error:
                    refused = model.tag
                    logger.error("serving %s still: %s", self.served.tag, error)
                else:
                    logger.info("serving %s", model.tag)
                    await before.drained()
                    before.close()


if settings().cors_origins:
    StanceService.add_asgi_middleware(  # type: ignore[attr-defined]
        CORSMiddleware, allow_origins=settings().cors_origins, allow_methods=["GET", "POST"], allow_headers=["*"]
    )
StanceService.add_asgi_middleware(Gateway)  # type: ignore[attr-defined]
