"""The one exception that neo_np raises about what it was given."""


class NeoError(ValueError):
    """Bad input: one sentence that says what was wrong, where, what was expected and what to do."""
