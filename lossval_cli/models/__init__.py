"""Models of the user's choice in place of the networks: presets, estimators, modules."""
