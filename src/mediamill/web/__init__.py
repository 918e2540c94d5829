"""What the rooms that answer HTTP share, and none of them words by itself: forms, cursors, what this install can do."""
