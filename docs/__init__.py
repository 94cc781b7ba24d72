"""What writes and reads the pages of this folder; no part of the installed package."""
