"""`lossval check`: rules, the values that they compare with limits, results, and output formats."""
