"""Read an artifact and answer with it: HTTP service, batch scoring, Python predictor."""
