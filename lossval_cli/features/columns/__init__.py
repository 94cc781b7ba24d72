"""One encoder a file, each named for the kind of column it turns into numbers.

All of them keep the same promise: fitted on training rows only, finite for any later row, and scaled by
`scaling.unit_block`, so that every column counts alike in a squared distance however many numbers it becomes.
"""
