"""Rules about data, the facts they ask for, the verdicts, and the formats other tools read them in."""
