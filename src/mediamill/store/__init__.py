"""The record in PostgreSQL: one file per noun, SQL as named constants beside the code that uses them.

Rules live in core; these modules obey them. Everything a transaction must hold together is one method here.
"""
