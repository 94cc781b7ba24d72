"""Tables -> numbers: what each column is for, features as float32 blocks, labels as classes or targets."""
