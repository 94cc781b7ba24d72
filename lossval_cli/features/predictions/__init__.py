"""Predictions of the user's own model: a file, columns or an array become probabilities in our order of classes.

sources     load what the user gave: a table or an array
rows        match its rows with those of the table: by index, by ids, by count
columns     named columns, in the order of the classes
arrays      columns without names
values      checks: numbers, probabilities, their sums
plausible   compare predictions with the labels: agreement by chance or of fitted rows is reported
read        all of these steps in order
"""
