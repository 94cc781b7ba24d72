"""Every sentence about a run, for terminal, HTML, Markdown, `check` and SARIF; nothing is computed here.

Findings are data; these functions put them in words, a file for each subject. Those that take a report take the dict
that `build_report` returned or that was read from report.json, in which any section may be null: redacted, or unknown
to the method.
"""
