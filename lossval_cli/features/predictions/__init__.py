"""Predictions of the user's own model: from a file, columns or an array to probabilities in our order of classes.

sources     what was given: a table or an array
rows        which of its rows are those of the table: by index, by ids, by count
columns     named columns, in the order of the classes
arrays      columns without names
values      checks: numbers, probabilities, their sums
plausible   whether they agree with the labels, and not too well
read        all of it
"""
