"""Which metric of effects each name of `design.judging` is: how a value comes from answers, its range, which end is better.

Nothing is read or written.
"""

from ftexp.design.judging import ITEM_PERPLEXITY, OWN, PERPLEXITY
from ftexp.effects.label_metrics import BalancedAccuracy, MacroF1, Mcc
from ftexp.effects.metrics import UNNAMED, Mean, Metric
from ftexp.effects.number_metrics import R2, MeanAbsoluteError, Rmse
from ftexp.effects.option_metrics import MacroAuc, OptionsBrier
from ftexp.effects.probability_metrics import CalibrationError
from ftexp.effects.ratio_metrics import BitsPerByte, ItemPerplexity, TokenPerplexity
from ftexp.effects.text_metrics import Chrf, CorpusBleu

# The ends of what a scorer gives an answer, where these are not 0 and 1.
RANGES = {"chrf": (0.0, 100.0), "semscore": (-1.0, 1.0)}
MEANS = (
    "exact", "ignore_case", "includes", "match", "f1", "rouge_1", "rouge_2", "rouge_l", "chrf", "numeric", "semscore",
    "model_graded_qa",
)


def metric_objects(n_options: int) -> dict[str, Metric]:
    """Per kind of scorer, and per metric, what effects calls it; a scorer of one's own has the ends that its scores show.

    A scorer under a name of its own is looked up by its kind.

    Args:
        n_options: The most options that an item of any task has; of an item with fewer the others have probability 0.
    """
    scorers: dict[str, Metric] = {name: Mean(RANGES.get(name, (0.0, 1.0))) for name in MEANS}
    return scorers | {
        PERPLEXITY: TokenPerplexity(), OWN: UNNAMED,
        "macro_f1": MacroF1(), "balanced_accuracy": BalancedAccuracy(), "mcc": Mcc(),
        "rmse": Rmse(), "mae": MeanAbsoluteError(), "r2": R2(),
        "ece": CalibrationError(), "brier": OptionsBrier(n_options), "auc": MacroAuc(n_options),
        "bleu": CorpusBleu(), "corpus_chrf": Chrf(), "bits_per_byte": BitsPerByte(),
        ITEM_PERPLEXITY: ItemPerplexity(),
    }
