"""How good a model is: bits per byte of texts, last words, multiple choice; an adapter for lm-evaluation-harness."""
