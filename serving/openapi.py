"""The served OpenAPI description: BentoML's, corrected to what the gateway really answers."""

from typing import Any

from serving.gateway import CREATING
from serving.problems import MEDIA_TYPE
from serving.schema import Problem

_POST_ERRORS = {
    "401": "A key is asked for and none that fits was sent",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "422": "The body is not JSON or does not fit the schema",
    "429": "The queue is full",
    "500": "The service failed",
    "503": "The service is starting or stopping, or corrections cannot be stored",
    "504": "The answer took too long",
}


def describe(specification: dict[str, Any]) -> dict[str, Any]:
    """Return BentoML's specification with this service's error answers and ``GET /model``."""
    paths = {
        path: {method: _corrected(path, operation) if method == "post" else operation for method, operation in item.items()}
        for path, item in specification["paths"].items()
    }
    paths["/model"] = {"get": _show_model()}
    schemas = dict(specification.get("components", {}).get("schemas", {}))
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/Problem/$defs/{model}")
    return {**specification, "paths": paths, "components": {**specification.get("components", {}), "schemas": schemas}}


def _corrected(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    answer = next(answer for status, answer in operation["responses"].items() if str(status).startswith("2"))
    errors = {status: _problem(description) for status, description in _POST_ERRORS.items()}
    return {**operation, "responses": {"201" if path in CREATING else "200": answer, **errors}}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _show_model() -> dict[str, Any]:
    return {
        "summary": "What is served: the manifest without its file list, and the model card as text",
        "responses": {"200": {"description": "The model", "content": {"application/json": {"schema": {"type": "object"}}}}},
    }
