"""How a key of a sweep file is declared, and the blocks that the analysis reads as well.

In: plain values, as YAML gives them. Out: frozen objects with every default filled in. It stands in
this package because the analysis never imports the harness, and must not have defaults of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticUndefined

from headstart.metrics import LOWER_IS_BETTER, SHARES


class Frozen(BaseModel):
    """Unknown keys refused, no silent conversion ('30' is not 30), unchangeable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def key(
    meaning: str,
    default: object = PydanticUndefined,
    *,
    example: object,
    unit: str = "",
    **constraints: Any,
) -> Any:
    """A pydantic field with all that the reference of the file and its JSON schema say of a key.

    Args:
        meaning: what the key decides, in a sentence or two.
        default: what holds where the key is not written; none: the key must be written.
        example: a value, as a sweep file would write it.
        unit: what a number counts or measures.
        **constraints: of `pydantic.Field`, as `ge` or `pattern`.
    """
    extra: JsonDict | None = {"unit": unit} if unit else None
    return Field(
        default, description=meaning, examples=[example], json_schema_extra=extra, **constraints
    )


LOOKS = (5, 8, 12, 18, 27, 40, 60)  # numbers of seeds of `seeds: {until: verdict}`
AT_LEAST, AT_MOST = 8, 60  # seeds of `seeds: {until: {half_width}}`


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


AsTuple = BeforeValidator(_as_tuple)  # YAML has lists, and frozen settings hold none


class Compare(Frozen):
    """One comparison: the treatment's trials minus the control's, seed by seed."""

    treatment: str = key("The arm whose effect is asked for.", example="pretrained")
    control: str = key("The arm that it is compared with.", example="scratch")


class Measure(Frozen):
    """What the analysis asks of the records. It changes no trial."""

    metric: Literal["accuracy", "balanced_accuracy", "macro_f1", "loss", "mean_average_precision",
        "micro_f1", "exact_match", "quadratic_kappa", "mae", "rmse", "r2"] = key(
        "What is compared: targets, the way there, the final value and its stability are of it. "
        "Those after `loss` are of a `target` (docs/targets.md). It does not choose "
        "the checkpoint (`train.select`).", "accuracy", example="balanced_accuracy")  # fmt: skip
    targets: Annotated[tuple[Annotated[float, Field(gt=0)], ...], AsTuple] = key(
        "Values of `metric` on validation images to which convergence is measured: the first "
        "evaluation that reaches one; of `loss`, `mae` and `rmse` from above, and of these, `r2` "
        "and `quadratic_kappa` there are none unless they are given. A trial that never does is "
        "counted as censored.", (0.9, 0.95), example=[0.90, 0.95, 0.98],
        unit="fraction; of `loss` nats, of `mae` and `rmse` the target's")  # fmt: skip
    equivalence: Annotated[float, Field(gt=0)] | None = key("Differences of the final value "
        "of `metric` below this count as none: the margin of the test of equivalence. Without it, "
        "equivalence is not tested.", None, example=0.001,
        unit="fraction; of `loss` nats, of `mae` and `rmse` the target's")  # fmt: skip
    error: Literal["question", "report"] = key("What may be wrong in 5 % of reports in which "
        "nothing differs: each question (final value, way there, stability, overfitting), or the "
        "whole report, with equal parts.", "question", example="report")  # fmt: skip

    audit: Literal["all", "none"] | Annotated[int, Field(ge=2)] | None = key("How many images of "
        "the arms' data the label audit judges at the end of the sweep, `all`, `none` or a number "
        "drawn by class: its answer stands in the report. It trains LeNet-5 on four folds of them: "
        "8,000 images of 28×28 take about a minute of one processor.", None, example="all",
        unit="images")  # fmt: skip
    also_watch: Literal["right_labels"] | None = key("What is scored beside the data's own labels "
        "at every evaluation. `right_labels`: the same predictions of the validation images are "
        "scored on their right labels too, of data whose right labels are known: those with "
        "`corrupt_labels`, and `mnist_task3` beside MNIST. Nothing is chosen by it, and no test "
        "image is looked at.", None, example="right_labels")  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _of_no_share(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "targets" in given:
            return given
        return given if given.get("metric", "accuracy") in SHARES else {**given, "targets": ()}

    @field_validator("audit")
    @classmethod
    def _none_is_null(cls, audit: str | int | None) -> str | int | None:
        return None if audit == "none" else audit

    @field_validator("targets")
    @classmethod
    def _of_shares(cls, targets: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        metric = info.data.get("metric", "loss")
        if metric not in LOWER_IS_BETTER and max(targets, default=0) > 1:
            raise ValueError(
                "should be less than or equal to 1 each; only `loss`, `mae` and `rmse` can be more"
            )
        return targets

    @field_validator("equivalence")
    @classmethod
    def _below_one(cls, margin: float | None, info: ValidationInfo) -> float | None:
        if margin is not None and margin >= 1 and info.data.get("metric") not in ("mae", "rmse"):
            raise ValueError("should be less than 1")
        return margin

    @classmethod
    def of_run(cls, written: Mapping[str, object] | None) -> Measure:
        """Of a run folder's sweep.yaml, which may be of an older version and lack keys."""
        known = {k: v for k, v in (written or {}).items() if k in cls.model_fields}
        return cls.model_validate(known)
