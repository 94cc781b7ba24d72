"""What the report says beyond the scores: one question per file, numbers in, JSON-serialisable dicts out."""
