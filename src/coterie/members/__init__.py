"""Members: one file (or folder) for each kind of language model that can sit in a committee."""
