# Short names for ./mill; both do the same.
default:
    @just --list

demo *args:
    ./mill demo {{args}}
test *args:
    ./mill test {{args}}
check *args:
    ./mill check {{args}}
docs:
    ./mill docs
lock *args:
    ./mill lock {{args}}
serve *args:
    ./mill serve {{args}}
fix:
    .venv/bin/ruff format .
    .venv/bin/ruff check --fix .
