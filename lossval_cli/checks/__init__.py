"""Rules about data, the values they ask for, the results, and the formats other tools read them in."""
