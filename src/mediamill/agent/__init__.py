"""The agent: does what a prompt says, by asking a language model and calling functions of this server.

`host.py` takes a task of kind prompt from the worker and holds it to its limits; `journal.py` writes each step before
it takes effect and when it is over; `calls.py` is what a model may do here; `loop.py` is the runner that comes with
the install, `chat.py` the one exchange it makes. A runner is anything with `async run(context) -> Outcome`.
"""
