"""Text to token ids and back: byte-level byte-pair encoding."""
