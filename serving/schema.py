"""The HTTP contract as types: what a request may hold and what an answer holds."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, ValidationInfo

from serving.explanation import Explanation
from serving.predictor import DECIMALS, Prediction
from serving.settings import settings


def _listed(value: Any) -> Any:
    """Return a single string as a list; refuse too long a list before its items are looked at."""
    if isinstance(value, list) and len(value) > settings().texts:
        raise ValueError(f"expected at most {settings().texts} texts, found {len(value)}")
    return [value] if isinstance(value, str) else value


def _not_blank(text: str, most: int) -> str:
    if not text.strip():
        raise ValueError("expected at least one character that is not white space")
    if len(text) > most:
        raise ValueError(f"expected at most {most} characters, found {len(text)}")
    return text


def _text(text: str) -> str:
    return _not_blank(text, settings().text_characters)


def _article(text: str) -> str:
    return _not_blank(text, settings().article_characters)


Text = Annotated[str, Field(min_length=1, strict=True), AfterValidator(_text)]
Article = Annotated[str, Field(min_length=1, strict=True), AfterValidator(_article)]
Texts = Annotated[
    list[Text],
    Field(min_length=1, description="one to many texts; a single string is accepted"),
    BeforeValidator(_listed, json_schema_input_type=list[str] | str),
]


class PredictRequest(BaseModel):
    """Body of ``POST /predict``."""

    model_config = ConfigDict(extra="forbid")

    texts: Texts


class TextPrediction(BaseModel):
    """The stance of one text; :class:`serving.predictor.Prediction` says what each field means."""

    label: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: list[str]
    abstain: bool
    truncated: bool

    @classmethod
    def of(cls, prediction: Prediction) -> "TextPrediction":
        """Return the prediction as it is sent."""
        return cls(
            label=prediction.label,
            confidence=round(prediction.confidence, DECIMALS),
            probabilities={label: round(p, DECIMALS) for label, p in prediction.probabilities.items()},
            prediction_set=list(prediction.prediction_set),
            abstain=prediction.abstain,
            truncated=prediction.truncated,
        )


class PredictResponse(BaseModel):
    """Answer of ``POST /predict``: one prediction a text, in order, and the model that gave them."""

    model: str
    predictions: list[TextPrediction]


class ExplainRequest(BaseModel):
    """Body of ``POST /explain``."""

    model_config = ConfigDict(extra="forbid")

    text: Text


class WordContribution(BaseModel):
    """One word, where it stands (Python string indices), and what it does: see :class:`serving.explanation.Word`."""

    word: str
    start: int
    end: int
    contribution: float


class ExplainResponse(BaseModel):
    """Answer of ``POST /explain``; :class:`serving.explanation.Explanation` says what each field means."""

    model: str
    prediction: TextPrediction
    words: list[WordContribution]
    words_left_out: int

    @classmethod
    def of(cls, explanation: Explanation, *, model: str) -> "ExplainResponse":
        """Return the explanation as it is sent."""
        words = [
            WordContribution(word=word.word, start=word.start, end=word.end, contribution=round(word.contribution, DECIMALS))
            for word in explanation.words
        ]
        prediction = TextPrediction.of(explanation.prediction)
        return cls(model=model, prediction=prediction, words=words, words_left_out=explanation.words_left_out)


class ClassificationParameters(BaseModel):
    """Parameters of Hugging Face's text-classification task, as far as they fit labels that exclude one another."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[int, Field(ge=1, strict=True, description="so many of the likeliest labels; all by default")] | None = None
    function_to_apply: Literal["softmax"] | None = None


class ClassificationRequest(BaseModel):
    """Body of ``POST /text-classification``."""

    model_config = ConfigDict(extra="forbid")

    inputs: Texts
    parameters: ClassificationParameters | None = None


class LabelScore(BaseModel):
    """A label and its probability."""

    label: str
    score: float


class ClassificationResponse(RootModel[list[list[LabelScore]]]):
    """Answer of ``POST /text-classification``: one list a text, also for a single string; the likeliest label first.

    Source: ``InferenceClient.text_classification`` of huggingface_hub, which returns the first list of the answer.
    """

    @classmethod
    def of(cls, predictions: Sequence[Prediction], parameters: ClassificationParameters | None) -> "ClassificationResponse":
        """Return the predictions as they are sent."""
        most = parameters.top_k if parameters else None
        return cls([_scores(prediction)[:most] for prediction in predictions])


def _scores(prediction: Prediction) -> list[LabelScore]:
    ordered = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    return [LabelScore(label=label, score=round(probability, DECIMALS)) for label, probability in ordered]


def _no_null(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected no null character, which PostgreSQL cannot store")
    return text


def _known_label(label: str, info: ValidationInfo) -> str:
    labels = (info.context or {}).get("labels", ())
    if label not in labels:
        raise ValueError(f"expected one of {', '.join(labels)}")
    return label


Name = Annotated[str, Field(min_length=1, max_length=200, strict=True), AfterValidator(_no_null)]
KnownLabel = Annotated[str, Field(strict=True), AfterValidator(_known_label)]


class CorrectionRequest(BaseModel):
    """Body of ``POST /corrections``; to be validated with the served model's ``labels`` as context."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Text, AfterValidator(_no_null)]
    label: Annotated[KnownLabel, Field(description="what the text's label should be")]
    model: Annotated[Name, Field(description="tag of the model that predicted, as its answer names it")]
    predicted: Annotated[KnownLabel, Field(description="the label that it predicted")]
    annotator: Annotated[Name, Field(description="who says so: a name, or better a pseudonym")] | None = None


class CorrectionResponse(BaseModel):
    """Answer of ``POST /corrections``: the same correction always has the same id, and is stored once."""

    id: str


class AnalyzeRequest(BaseModel):
    """Body of ``POST /analyze``: a whole article."""

    model_config = ConfigDict(extra="forbid")

    text: Article


class Cue(BaseModel):
    """The words that say that somebody speaks, as ``text[start:end]`` of the article: ``said``, ``according to``, a colon."""

    text: str
    start: int
    end: int


class Holder(BaseModel):
    """Who voices a sentence.

    ``name`` is the name or role as ``text[start:end]`` of the article has it. It stands in another sentence where this one says
    ``she`` or goes on with a quotation; so may the cue. ``direct``: at least part of the sentence is in the holder's own words.
    """

    name: str
    start: int
    end: int
    speech: Literal["direct", "indirect"]
    cue: Cue


class AnalyzedSentence(TextPrediction):
    """A sentence of an article: ``text`` is ``article[start:end]``, in characters (code points) as Python counts them.

    ``furniture`` is what a page puts around an article (links to share it, cookie and newsletter lines); its label is ``neutral``
    where the model has that label, whatever the probabilities say. ``holder`` is null where nobody but the writer speaks, or
    where the rules cannot tell.
    """

    text: str
    start: int
    end: int
    furniture: bool
    holder: Holder | None


class LabelShare(BaseModel):
    """How many sentences have a label, and their share of those that are not furniture (0 to 1)."""

    count: int
    share: float


class HolderSummary(BaseModel):
    """What one holder's sentences convey; ``name`` as it first stands in the article, null for sentences without a holder."""

    name: str | None
    count: int
    share: float
    labels: dict[str, LabelShare]


class Summary(BaseModel):
    """Counts of an article, furniture left out: ``labels`` in the model's order, ``holders`` by count."""

    sentences: int
    furniture: int
    labels: dict[str, LabelShare]
    holders: list[HolderSummary]


class AnalyzeResponse(BaseModel):
    """Answer of ``POST /analyze``: the sentences in order; nothing but white space lies between them."""

    model: str
    sentences: list[AnalyzedSentence]
    summary: Summary


class ErrorItem(BaseModel):
    """One reason why a body was refused."""

    loc: list[str | int]
    message: str


class Problem(BaseModel):
    """An error answer. Source: RFC 9457, problem details for HTTP APIs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ErrorItem] | None = None
