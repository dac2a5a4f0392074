# Two commands on a fresh machine: make demo, make test. Both make .venv when it is not there, and
# cost seconds when nothing changed. PYTHON names the interpreter (3.11 or later), ARGS goes to the demo.
PYTHON ?= python3
ARGS ?=
# With an NVIDIA GPU the GPU set, else the CPU set; DEVICE=cpu or DEVICE=gpu decides otherwise.
DEVICE ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := .venv/bin
READY := .venv/.ready-$(DEVICE)

.PHONY: install demo test check format lock clean

install: $(READY)

$(READY): requirements/$(DEVICE).txt pyproject.toml scripts/install
	scripts/install $(PYTHON) requirements/$(DEVICE).txt
	@rm -f .venv/.ready-*
	@touch $@

demo: $(READY)
	@$(BIN)/python -m scripts.demo $(ARGS)

test: $(READY) check
	scripts/postgres
	scripts/browser
	scripts/prometheus
	$(BIN)/python -m scripts.changed || scripts/test $(BIN)/python
	@$(BIN)/python -m scripts.changed --keep

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes requirements/*.txt anew from requirements/*.in; see the notes in those files.
lock: $(READY)
	scripts/lock

clean:
	rm -rf .venv var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
