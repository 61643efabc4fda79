"""Training of the detectors (extra `train`); the runtime never imports this package."""
