# make run: set up what is missing, build the demo image, run the demo pod.    make test: the whole suite.
bin := .venv/bin
locks := requirements.lock requirements-dev.lock pyproject.toml tools/setup.sh

.PHONY: run test check bench clean
.NOTPARALLEL:

run: .venv/ready-run images/hello.aci
	@$(bin)/doit run pod=hello

test: .venv/ready-test images/hello.aci
	@$(bin)/python -m pytest -n auto --maxprocesses 8 $(PYTEST)

check: .venv/ready-test
	@$(bin)/python -m pytest -q tests/test_house.py
	@$(bin)/doit check

bench: .venv/ready-test images/hello.aci
	@$(bin)/python -m benchmarks

clean:
	rm -rf .venv images/hello.aci .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find stages tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready-%: $(locks)
	@tools/setup.sh $*

images/hello.aci: tools/build_demo_image.py | .venv/ready-run
	@$(bin)/python tools/build_demo_image.py $@
