# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check docs bench soak drill ray clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/installed  ## ask the embedded committee (accepts Gemma's terms, see README)
	$(BIN)/coterie ask --accept-gemma-terms "What is the capital of France?"

test: $(VENV)/installed  ## every test, the real local models included (accepts Gemma's terms)
	COTERIE_ACCEPT_GEMMA_TERMS=1 $(BIN)/python -m pytest

check: $(VENV)/installed  ## format, lint, types, and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed  ## write the reference pages that are made from the program
	$(BIN)/python docs/make_reference.py

bench: $(VENV)/installed  ## the benchmarks whose results stand in docs/benchmarks (pair_ranker_gpu.py needs a GPU)
	$(BIN)/python benchmarks/orchestration.py --write
	$(BIN)/python benchmarks/blending.py --write
	$(BIN)/python benchmarks/pair_ranker_cpu.py --write
	$(BIN)/python benchmarks/routers.py --write
	$(BIN)/python benchmarks/gateway.py --write

soak: $(VENV)/installed  ## 100,000 requests of all kinds to the gateway; its memory stands in docs/benchmarks/gateway.md
	$(BIN)/python benchmarks/gateway.py --soak --write
	COTERIE_FUZZ_EXAMPLES=1000 $(BIN)/python -m pytest tests/gateway/test_openapi.py

drill: $(VENV)/installed  ## endpoint, worker, disk and database go away under load; the result stands in docs/fault-drill.md
	$(BIN)/python tests/gateway_drill.py --write

ray: pyproject.toml  ## the tests of batches on Ray, which is too large for the other environment
	$(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/pip install -c constraints.txt -e '.[ray]' hypothesis pytest pytest-randomly
	$(VENV)-ray/bin/python -m pytest tests/batch/test_ray.py

clean:
	rm -rf $(VENV) $(VENV)-ray build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
