"""What a run found, as numbers (report.json), pages and a terminal summary."""
