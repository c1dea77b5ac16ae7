# Each target sets up what is missing: .venv, Debian packages, a Docker Engine (scripts/bootstrap).
.PHONY: quickstart test unit lint lab soak clean

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

# Links on real kernels: this machine's, and one with netem in user mode (FEDSIM_TEST_UML_KERNEL, or Debian's), which is
# started for the tests and leaves nothing behind. `test` runs these as well, but for the courses on lab hosts with
# kernels of their own (`-m own_kernels`). LAB="-k queue" and the like.
lab:
	scripts/bootstrap --dev
	.venv/bin/python -m pytest tests/lab $(LAB)

# Not part of the checks. SOAK="--interruptions 50" and the like; it resumes where it was stopped.
soak:
	scripts/bootstrap --dev
	.venv/bin/nox --session soak -- $(SOAK)

clean:
	rm -rf .venv .nox .ansible .hypothesis .pytest_cache .mypy_cache .ruff_cache .grimp_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
