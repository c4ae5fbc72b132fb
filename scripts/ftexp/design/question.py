"""The question of an experiment whose owner gave none: made of its factors, anew whenever they change.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

from pathlib import Path
from typing import Any

from ftexp.design.factors import Level
from ftexp.design.levels import label_text
from ftexp.design.settings import SEED
from ftexp.ground.wording import first_of, listed

# Levels of a factor that it names.
_MOST_LEVELS = 6


def question_of(factors: dict[str, list[Level]], data: dict[str, Any], constants: dict[str, Any], metric: str) -> str:
    """What an experiment of these factors asks, in one sentence.

    Args:
        factors: With their levels; a seed is none of those that are asked about.
        data: The data section, whose file is named unless a factor sets it.
        constants: Names the model where no factor does.
        metric: What is scored.
    """
    varied = {name: levels for name, levels in factors.items() if name != SEED and len(levels) > 1}
    set_by_factors = {name for levels in factors.values() for level in levels for name in level.sets}
    file = next((data[key] for key in ("source", "train") if data[key] and f"data.{key}" not in set_by_factors), None)
    where = f" on {Path(file).stem}" if file else ""
    if not varied:
        model = f" {constants['model']}" if "model" in constants else ""
        return f"What does fine-tuning{model} change in the score ({metric}){where}?"
    texts = {name: [label_text(level.label) for level in levels] for name, levels in varied.items()}
    named = [f"{name} ({first_of(labels, _MOST_LEVELS)})" for name, labels in texts.items()]
    return f"How {'does' if len(named) == 1 else 'do'} {listed(named)} change the score ({metric}){where}?"
