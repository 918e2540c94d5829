"""The nouns and the rules. Standard library only; no I/O, no clock, no sibling room."""
