"""A run as named arrays, and as one self-contained HTML page."""

from neo_np.explain.run import Explanation, explain

__all__ = ["Explanation", "explain"]
