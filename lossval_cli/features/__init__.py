"""From a typed table to arrays: roles, labels, and one encoder per kind of column."""
