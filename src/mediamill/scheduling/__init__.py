"""Firing: each worker runs `loop.Loop`, which starts a task for each schedule that is due.

However many there are, each instant of a schedule fires once: who fires holds the schedule's row, writes the tasks and
moves the schedule on in one transaction, and the table knows each pair of schedule and instant once. The loop sees no
database and no clock but those it is given.
"""
