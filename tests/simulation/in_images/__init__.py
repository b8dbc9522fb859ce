"""Programs that run in models' images, and say what real models answer, honestly and not; `simulation.model_measures` starts them."""
