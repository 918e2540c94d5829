"""What the rooms that answer HTTP share: forms, cursors, the bytes of files, what this install can do."""
