"""One encoder per file, named after the kind of column that it turns into numbers.

All of them keep the same promise: fitted on training rows only, finite for any later row, and scaled by
`scaling.unit_block`, so that every column counts alike in a squared distance however many numbers it becomes.

They are not skrub's: importing skrub 0.11 takes 1.5 s of CPU on top of the libraries that a run loads anyway (1.8 s),
and half a second is what a command on 1,000 rows may pay. Nor scikit-learn's: its scalers and one-hot encoder keep
neither the promise of one variance per column nor the bounded outliers, which are most of the code here. Where they do
the work, in free text, they are used.
"""
