"""Outbox to receivers: what was written with each change is posted to whoever wants it, until it is answered well.

`dispatch.py` decides what goes when, `post.py` makes one attempt. The store, the network and the words of the dialects
are handed in; nothing here knows what a body says.
"""
