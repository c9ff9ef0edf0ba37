# make demo      train a digit classifier in .venv; results in runs/demo/
# make test      the whole test suite in .venv-test
# Needs Python 3.10 or later with venv, and a C compiler; ccache is used if it is there.

PYTHON ?= python3
PYTEST_ARGS ?=
SANITIZE_TESTS ?= $(wildcard tests/tensor tests/autograd)
DEMO_ARGS ?=
BENCH_ARGS ?= --out benchmarks/results

DEMO := .venv/bin
TEST := .venv-test/bin
NATIVE := $(shell find rustorch_py include -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' \
                  -o -path '*/kernels/*.c' -not -path '*/_gen/*') \
          $(wildcard rustorch_py/tensor/optable.py rustorch_py/tensor/render.py)
PACKAGE := $(shell find rustorch_py -name '*.py')

.PHONY: help demo test test-distributed cuda-kernels sanitize sanitize-flat sanitize-build sanitize-conformance fuzz docs bench sdist clean
help:
	@sed -n '1,/^$$/s/^# //p' Makefile
	@echo "make sanitize  the core's tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make sanitize-conformance  PyTorch's operator database and calls with wrong arguments under the same"
	@echo "make test-distributed  200 random models on 1 to 4 ranks, 100 random kills (about ten minutes)"
	@echo "make cuda-kernels  every kernel of the CUDA back end under NVIDIA's compiler, for three architectures (some minutes; no GPU)"
	@echo "make fuzz      random programs under both libraries, over 100,000 cases (FUZZ=5000 a test)"
	@echo "make docs      COVERAGE.md: which of PyTorch's names are there, which are left out and why"
	@echo "make bench     the benchmark suite beside PyTorch and others, where installed; results in benchmarks/results/"
	@echo "make sdist     dist/*.tar.gz"
	@echo "make clean     remove what was built, virtual environments included"

# A virtual environment at DIR: $(call venv,DIR)
define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; make PYTHON=...")'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || \
	  { echo "make: $(PYTHON) cannot make virtual environments (on Debian: apt-get install python3-venv)" >&2; rm -rf $(1); exit 1; }
	@$(1)/bin/python -m pip install -qq --upgrade pip
endef

# What pyproject.toml asks of a build environment, for builds without isolation.
BUILD_REQUIRES = $(TEST)/python -c 'import importlib as i, importlib.util; \
  t = i.import_module("tomllib") if i.util.find_spec("tomllib") else i.import_module("pip._vendor.tomli"); \
  print(*t.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'

.venv/.installed: pyproject.toml setup.py $(NATIVE) $(PACKAGE)
	$(call venv,.venv)
	@echo "Building rustorch_py and installing it into .venv (a few minutes the first time)"
	@$(DEMO)/python -m pip install --progress-bar off '.[demo]' > .venv/build.log 2>&1 || { tail -n 40 .venv/build.log; exit 1; }
	@touch $@

.venv-test/.installed: pyproject.toml setup.py $(NATIVE)
	$(call venv,.venv-test)
	$(TEST)/python -m pip install --quiet --progress-bar off -e '.[test]'
	@touch $@

demo: .venv/.installed
	@$(DEMO)/rustorch train --data digits --model cnn --out runs/demo $(DEMO_ARGS)

# The distributed tests run once more over MPICH: the environment of all tests has Open MPI, and the two wheels do not go into one.
.venv-mpich/.installed: pyproject.toml
	$(call venv,.venv-mpich)
	.venv-mpich/bin/python -m pip install --quiet --progress-bar off 'numpy>=1.26' 'safetensors>=0.4' 'tqdm>=4.60' 'pytest>=8' 'hypothesis>=6' pytest-timeout 'mpi4py>=4' mpich
	@touch $@

test: .venv-test/.installed $(if $(PYTEST_ARGS),,.venv-mpich/.installed)
	$(TEST)/python -m pytest $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,OMP_NUM_THREADS=1 PYTHONPATH=. .venv-mpich/bin/python -m pytest tests/distributed)

test-distributed: .venv-test/.installed
	RUSTORCH_LONG_TESTS=1 OMP_NUM_THREADS=1 $(TEST)/python -m pytest tests/distributed $(PYTEST_ARGS)

# A copy of the sources is built with the sanitizers, so that no plain object is mixed in or overwritten.
sanitize-build: .venv-test/.installed
	@$(BUILD_REQUIRES) > .venv-test/build-requires.txt
	$(TEST)/python -m pip install --quiet -r .venv-test/build-requires.txt
	mkdir -p build/sanitize
	tar -cf - --exclude='*.so' --exclude='__pycache__' --exclude='_libs' --exclude='_gen' \
	    rustorch_py include tests setup.py pyproject.toml $(wildcard README.md build/cython.txt) | tar -xf - -C build/sanitize
	cd build/sanitize && RUSTORCH_SANITIZE=1 ../../$(TEST)/python setup.py --quiet build_ext --inplace

# PyTorch throws C++ exceptions: the sanitizer finds the real throw only where libstdc++ is loaded before it starts.
ASAN = detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=1
SANITIZED = cd build/sanitize && \
    LD_PRELOAD="$$($(or $(CC),cc) -print-file-name=libasan.so) $$($(or $(CC),cc) -print-file-name=libstdc++.so)" \
    ASAN_OPTIONS=$(ASAN) UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc PYTHONPATH=.

# AddressSanitizer keeps freed blocks in a quarantine, 8 KB a training step, so the test of flat resident memory runs by itself, without it;
# all others keep it: it is what finds uses of freed memory.
FLAT := tests/autograd/test_engine.py::test_memory_is_flat_without_the_garbage_collector
sanitize: sanitize-build
	$(SANITIZED) ../../$(TEST)/python -m pytest -p no:cacheprovider --capture=sys --deselect $(FLAT) $(SANITIZE_TESTS) $(PYTEST_ARGS)
	$(if $(filter tests/autograd,$(SANITIZE_TESTS)),$(MAKE) --no-print-directory sanitize-flat)

sanitize-flat: ASAN := $(ASAN):quarantine_size_mb=0:thread_local_quarantine_size_kb=0
sanitize-flat: sanitize-build
	$(SANITIZED) ../../$(TEST)/python -m pytest -p no:cacheprovider --capture=sys $(FLAT)

# PyTorch's operator database, and the sweep of wrong arguments, in the sanitizers' build (PyTorch itself is not instrumented).
CONFORMANCE ?= ../shared/conformance/op_conformance.py
CONFORMANCE_ARGS ?=
sanitize-conformance: sanitize-build
	$(TEST)/python -m pip install --quiet --progress-bar off torch==2.13.0 expecttest
	$(SANITIZED) ../../$(TEST)/python $(abspath $(CONFORMANCE)) --module rustorch_py --mem-gb 0 --timeout 600 \
	    --baseline tests/conformance/passing.txt $(CONFORMANCE_ARGS)
	$(SANITIZED) ../../$(TEST)/python tests/parity/mutations.py --here-only

# FUZZ cases a test, against PyTorch; a failing case is printed as small as it gets.
FUZZ ?= 5000
fuzz: .venv-test/.installed
	$(TEST)/python -m pip install --quiet --progress-bar off torch==2.13.0
	OMP_NUM_THREADS=1 RUSTORCH_FUZZ=$(FUZZ) $(TEST)/python -m pytest --timeout=7200 tests/fuzz $(PYTEST_ARGS)

cuda-kernels: .venv-test/.installed
	$(TEST)/python -m pip install --quiet --progress-bar off cuda-bindings nvidia-cuda-nvrtc
	$(TEST)/python -m tests.gpu.test_nvrtc

docs: .venv-test/.installed
	$(TEST)/python tests/names/table.py

bench: .venv-test/.installed
	@$(TEST)/python -m rustorch_py.cli bench $(BENCH_ARGS)

sdist: .venv-test/.installed
	$(TEST)/python -m pip install --quiet build
	$(TEST)/python -m build --sdist

clean:
	rm -rf build dist .venv .venv-test .venv-mpich .pytest_cache .hypothesis *.egg-info rustorch_py/_libs rustorch_py/tensor/kernels/_gen
	rm -f rustorch_py/tensor/_rows.pyx
	find rustorch_py \( -name '*.so' -o -name '*.dylib' \) -delete
	find rustorch_py -name '*.pyx' | sed 's/pyx$$/c/' | xargs rm -f
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
