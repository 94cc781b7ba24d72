"""Review: from suspects to decisions. What is asked next, what a reviewer sees, and what the decisions so far say."""
