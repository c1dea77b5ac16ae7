# Each target sets up what is missing: .venv, Debian packages, a Docker Engine (scripts/bootstrap).
.PHONY: quickstart test unit lint soak clean

quickstart:
	scripts/bootstrap
	.venv/bin/fedsim-provision examples/quickstart.yaml

test:
	scripts/bootstrap --dev
	.venv/bin/nox

unit:
	scripts/bootstrap --dev --no-engine
	.venv/bin/nox --session unit

lint:
	scripts/bootstrap --dev --no-engine
	.venv/bin/nox --session lint types

# Not part of the checks. SOAK="--interruptions 50" and the like; it resumes where it was stopped.
soak:
	scripts/bootstrap --dev
	.venv/bin/nox --session soak -- $(SOAK)

clean:
	rm -rf .venv .nox .ansible .hypothesis .pytest_cache .mypy_cache .ruff_cache .grimp_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
