"""How good a model is: bits per byte, last words, multiple choice, lm-evaluation-harness; and what its heads look at."""

from neo_np.evaluate.command import main
from neo_np.evaluate.heads import evaluate_heads
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text

__all__ = ["evaluate_choices", "evaluate_heads", "evaluate_lambada", "evaluate_text", "main"]
