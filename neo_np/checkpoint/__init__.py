"""Files to `Model` and back: finding checkpoints, reading safetensors, loading, saving."""
