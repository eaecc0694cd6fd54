# make demo, make test: each installs what it needs into .venv on the first call and nothing on the next ones.

VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
OUT    ?= runs/demo
ARGS   ?=
TESTERS ?= $(shell cores=$$(env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores < 5 ? cores : 5)))
LINKS  := $(addprefix .package/forestpilot/,sim data_collection policies launch)

# A name that exists may still not run (pyenv's shims), so each candidate is asked for its version.
VERSION_OK := import sys; raise SystemExit(not (3, 10) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for name in python3.11 python3.10 python3.12 python3.13 python3 python; do \
	if "$$name" -c '$(VERSION_OK)' >/dev/null 2>&1; then echo "$$name"; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs kernels bench faults soak cluster interop interop-lerobot interop-minari interop-rlds interop-robomimic versions clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(STAMP)  ## create .venv and install ForestPilot with all extras and its tools into it

demo: $(STAMP)  ## demonstrations, cloning, DAgger, evaluation and videos, into runs/demo
	$(VENV)/bin/forestpilot demo --out $(OUT) $(ARGS)

test: $(STAMP)  ## the whole test suite
	@# One process per core. A further one would compute while others wait for windows and browsers, but on two cores it
	@# costs a sixth more computing time in all, and the tests take longer.
	@# They all read the same modules, so bytecode is kept, whatever the shell says.
	env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(STAMP)  ## ruff, mypy and the floors of the house (import-linter)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@# import-linter does not follow links to folders, so it reads a copy.
	rm -rf build/lint && mkdir -p build/lint && cp -RL .package/forestpilot build/lint/
	cd build/lint && $(CURDIR)/$(VENV)/bin/lint-imports --no-cache --config $(CURDIR)/pyproject.toml

docs: $(STAMP)  ## the pages of docs/ as a site in build/site; warnings are errors
	$(PY) docs/draw_architecture.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet --site-dir build/site

kernels: $(STAMP)  ## after a change of a kernel's arguments: list them anew, for warm-up at installation
	$(PY) -m forestpilot.launch.benchmarks.kernel_list

bench: $(STAMP)  ## the figures of the README: renderer, environment, expert, data, training
	for what in render env expert data train; do $(VENV)/bin/forestpilot bench $$what $(ARGS) || exit 1; done

faults: $(STAMP)  ## kill, stop, starve and damage every verb; hours: ARGS="--kills 1000 --mutants 10000 --resume"
	$(PY) -m tests.faults.injector $(ARGS)

soak: $(STAMP)  ## two hours of steps and trips: does memory, do handles or threads grow? ARGS="--minutes 10"
	$(PY) -m tests.faults.soak $(ARGS)

cluster: $(STAMP)  ## kill workers and a node of a Ray cluster while it records: ARGS="--kills 20"
	$(PY) -m tests.faults.cluster_kills $(ARGS)

interop: $(addprefix interop-,minari robomimic rlds lerobot)  ## other projects' own loaders read what is exported; each in an environment of its own; TensorFlow's of 2 GB, LeRobot's of 9 GB

interop-lerobot: $(STAMP)
	test -x build/interop/lerobot/bin/python || $(PY) -m venv build/interop/lerobot
	build/interop/lerobot/bin/python -m pip install --quiet --disable-pip-version-check "lerobot==0.4.4" -e '.[train]' \
	-e integrations/lerobot/lerobot_env_forestpilot -e integrations/lerobot/lerobot_policy_forestpilot
	rm -rf build/interop/data && $(PY) -m tests.interop.lerobot_writes build/interop/data
	for kind in video lossless; do build/interop/lerobot/bin/python -W ignore tests/interop/lerobot_reads.py \
	build/interop/data/$$kind build/interop/data/$$kind.npz || exit 1; done
	$(PY) -m tests.interop.lerobot_flies build/interop/lerobot/bin build/interop/data

interop-minari: $(STAMP)
	test -x build/interop/minari/bin/python || $(PY) -m venv build/interop/minari
	build/interop/minari/bin/python -m pip install --quiet --disable-pip-version-check "minari[hdf5]==0.5.4" pillow
	rm -rf build/interop/minari-data && $(PY) -m tests.interop.writes minari build/interop/minari-data
	build/interop/minari/bin/python tests/interop/minari_reads.py build/interop/minari-data

interop-rlds: $(STAMP)
	test -x build/interop/rlds/bin/python || $(PY) -m venv build/interop/rlds
	build/interop/rlds/bin/python -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 tensorflow-datasets==4.9.10
	rm -rf build/interop/rlds-data && $(PY) -m tests.interop.writes rlds build/interop/rlds-data
	build/interop/rlds/bin/python tests/interop/rlds_reads.py build/interop/rlds-data

# Without what it asks for, which builds a renderer of its own: reading takes torch and h5py, which are there.
interop-robomimic: $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/interop/robomimic \
	robomimic==0.3.0 termcolor tqdm psutil
	rm -rf build/interop/robomimic-data && $(PY) -m tests.interop.writes robomimic build/interop/robomimic-data
	HDF5_PLUGIN_PATH=$$($(PY) -c "import hdf5plugin; print(hdf5plugin.PLUGIN_PATH)") PYTHONPATH=build/interop/robomimic \
	$(PY) tests/interop/robomimic_reads.py build/interop/robomimic-data

versions: $(STAMP)  ## Python 3.12 and 3.13, where they are: the experts' ways through forest and road, to the bit as in .venv
	mkdir -p build/versions && $(PY) -m tests.interop.same_bytes > build/versions/here
	for version in 3.12 3.13; do place=build/versions/$$version; \
	"python$$version" -c '' >/dev/null 2>&1 || { echo "no python$$version here: left out"; continue; }; \
	test -x $$place/bin/python || "python$$version" -m venv $$place || exit 1; \
	$$place/bin/python -m pip install --quiet --disable-pip-version-check -e . || exit 1; \
	$$place/bin/python -m tests.interop.same_bytes > $$place/told && diff build/versions/here $$place/told || exit 1; \
	echo "Python $$version: the same"; done

clean:  ## remove .venv and caches; runs/ and datasets stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find sim data_collection policies launch tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is written last: an installation that was interrupted is taken up again by the next make.
$(STAMP): pyproject.toml constraints.txt | $(LINKS)
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@"$(PYTHON)" -c '$(VERSION_OK)' || { echo "$(PYTHON) is $$("$(PYTHON)" --version 2>/dev/null || echo no Python that runs), but ForestPilot needs Python 3.10 to 3.13 \
	(3.11 is what is tested). Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot create virtual environments. \
	On Debian and Ubuntu: apt install python3-venv (or python3.11-venv), then run make again." >&2; exit 1; }
	@test -x $(PY) && $(PY) -c '$(VERSION_OK)' 2>/dev/null || { echo "Creating $(VENV) with $(PYTHON)" >&2; \
	"$(PYTHON)" -m venv --clear $(VENV); }
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# What compiles later says so as well, so a failure here is none of the installation.
	$(PY) -m forestpilot.sim.kernels.warm_up || true
	@touch $@

# A source distribution and a zip file come without links.
$(LINKS):
	ln -s ../../$(@F) $@

define NO_PYTHON
No Python between 3.10 and 3.13 was found (3.11 is what is tested). Install one - Debian/Ubuntu: apt install python3.11 \
python3.11-venv; macOS: brew install python@3.11; elsewhere: pyenv install 3.11 - or name it: make PYTHON=/path/to/python3.11
endef
