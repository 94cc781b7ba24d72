"""What the report says beyond the scores, one question a file. Numbers in, JSON-serialisable dicts out."""
