"""The HTTP contract as types: what a request may hold and what an answer holds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
