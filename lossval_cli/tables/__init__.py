"""Bytes as people have them -> tables: CSV, Parquet and frames, and the types their cells are read as."""
