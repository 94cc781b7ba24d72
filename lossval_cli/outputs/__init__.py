"""What is written: whole files or none, where to, in which format, with what left out."""
