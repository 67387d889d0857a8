"""Training: data, AdamW, the trainer, runs that resume."""
