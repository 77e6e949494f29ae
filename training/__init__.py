"""From labelled sentences to an artifact: read, split, fine-tune, export, calibrate, evaluate, save."""
