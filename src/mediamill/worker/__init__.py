"""Take tasks from the queue, do them in sandboxed children, store what they made."""
