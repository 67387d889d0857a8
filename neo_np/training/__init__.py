"""Training GPT-Neo: gradients by hand, the optimiser, the data and the loop."""
