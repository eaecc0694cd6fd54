"""How kernels are compiled, stored and compiled beforehand."""

from __future__ import annotations

import itertools
import math
import operator
import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numba import njit, types
from numba.core.registry import cpu_target

from forestpilot.sim.kernels import helper, kernel, operators, warm_up
from forestpilot.sim.kernels.cache import digest_of
from forestpilot.sim.kernels.decorators import KERNELS
from forestpilot.sim.kernels.listed import Listed, listed_kernels
from forestpilot.sim.kernels.operators import FIRST

OURS = Path(warm_up.__file__).parents[2].parent


@pytest.fixture
def made():
    """A function that makes a kernel out of source code; its names are forgotten in the end."""
    before = set(KERNELS)

    def make(source, **constants):
        names = {"__name__": "made_up", "kernel": kernel, "helper": helper, "np": np, **constants}
        exec(compile(textwrap.dedent(source), "<made up>", "exec"), names)
        return names["outer"]

    yield make
    for name in set(KERNELS) - before:
        del KERNELS[name]


SOURCE = '''
@helper()
def inner(x):
    """Doc."""
    return x * FACTOR

@kernel()
def outer(x):
    return inner(x) + 1
'''


def test_digest_changes_with_a_helper_with_a_constant_and_with_an_option(made):
    digest = digest_of(made(SOURCE, FACTOR=2))
    assert digest_of(made(SOURCE, FACTOR=2)) == digest
    assert digest_of(made(SOURCE, FACTOR=2.0)) != digest
    assert digest_of(made(SOURCE.replace("x * FACTOR", "FACTOR - x"), FACTOR=2)) != digest
    assert digest_of(made(SOURCE.replace("@helper()", "@helper(fastmath=True)"), FACTOR=2)) != digest


def test_digest_does_not_change_with_words_and_places(made):
    digest = digest_of(made(SOURCE, FACTOR=2))
    assert digest_of(made("\n\n# A comment.\n" + SOURCE.replace("Doc.", "Other words."), FACTOR=2)) == digest


def run(folder, code, **variables):
    """Standard output and error of a process that finds modules in a folder, and machine code in `code` of it."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(OURS)]),
        "NUMBA_CACHE_DIR": str(folder / "code"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@dataclass(frozen=True)
class Runs:
    """What processes told that ran the same kernels one after another."""

    told: list[list[str]]
    """Values of both kernels, how many came from the store, and whether Numba's compiler was there; the second process
    finds all as the first left it, before the third a helper has changed."""
    stored: int
    """Kernels that are stored in the end."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    low = folder / "low.py"
    low.write_text("from forestpilot.sim.kernels import helper\n@helper()\ndef inner(x):\n    return x + 1\n")
    (folder / "high.py").write_text(
        "from forestpilot.sim.kernels import kernel\nfrom low import inner\n"
        "@kernel()\ndef outer(x):\n    return inner(x)\n"
        "@kernel()\ndef alone(x):\n    return x[0] + 2.0\n"
    )
    ask = (
        "import sys, numpy; from high import alone, outer\n"
        "print(outer(1), alone(numpy.ones(3)), sum(outer.stats.cache_hits.values()), 'numba.np.linalg' in sys.modules)"
    )
    told = [run(folder, ask)[0].split() for _ in range(2)]
    low.write_text(low.read_text().replace("x + 1", "x + 5"))
    told.append(run(folder, ask)[0].split())
    return Runs(told, len(list((folder / "code").rglob("*.nbi"))))


def test_a_helper_that_changes_in_another_file_is_seen_and_old_code_removed(runs):
    assert [(value, loaded) for value, _, loaded, _ in runs.told] == [("2", "0"), ("2", "1"), ("6", "0")]
    assert runs.stored == 2


def test_stored_code_is_run_without_what_numba_imports_for_compiling(runs):
    assert [(value, compiler) for _, value, _, compiler in runs.told[:2]] == [("3.0", "True"), ("3.0", "False")]


def test_kernels_work_where_nothing_can_be_stored(made, monkeypatch):
    def refuse(self, function):
        raise RuntimeError("no locator available")

    monkeypatch.setattr("forestpilot.sim.kernels.cache.FunctionCache.__init__", refuse)
    outer = made(SOURCE, FACTOR=3)
    assert outer(2) == 7
    assert outer._cache.cache_path is None


def test_python_may_call_an_inlined_helper_and_no_other(made):
    inlined = made("@helper(inline='always')\ndef outer(x):\n    return x + 1\n")
    assert inlined(1) == 2
    refused = made("@helper()\ndef outer(x):\n    return x + 1\n")
    caller = made("@kernel()\ndef outer(x):\n    return inner(x)\n", inner=refused)
    for _ in range(2):
        with pytest.raises(TypeError, match="outer is a helper of kernels"):
            refused(1)
        assert caller(1) == 2


def some(module, seconds):
    return Listed(f"{module}:{seconds}", seconds, ())


def test_shares_take_about_as_long_and_no_module_is_in_two():
    kernels = [some("a", 5.0), some("a", 4.0), some("b", 6.0), some("c", 2.0), some("d", 1.0)]
    shares = warm_up.in_shares(kernels, 2)
    assert sorted(sum(kernel.seconds for kernel in share) for share in shares) == [9.0, 9.0]
    assert sorted(kernel for share in shares for kernel in share) == sorted(kernels)
    assert {kernel.module for kernel in shares[0]}.isdisjoint(kernel.module for kernel in shares[1])
    assert warm_up.in_shares([some("a", 1.0)], 2) == [[some("a", 1.0)]]


@pytest.fixture
def compilations(monkeypatch):
    """Shares that would have been compiled; every kernel is missing."""
    asked = []
    monkeypatch.delenv(warm_up.WITHIN, raising=False)
    monkeypatch.setattr(warm_up, "_is_missing", lambda listed: not asked)
    monkeypatch.setattr(warm_up, "_compile_side_by_side", lambda shares, lock: asked.append(shares))
    warm_up._compiling.cache_clear()
    yield asked
    warm_up._compiling.cache_clear()


def test_the_first_listed_kernel_that_is_missing_has_all_compiled_and_says_so_once(compilations, capsys):
    first = listed_kernels()[0]
    for _ in range(2):
        assert warm_up.compile_missing(first.name, first.types())
        warm_up._compiling().join()
    assert len(compilations) == 1
    assert sum(map(len, compilations[0])) == len(listed_kernels())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compiling {len(listed_kernels())} kernels, once: about ")


def test_who_waits_for_a_kernel_does_not_wait_for_the_others(compilations, monkeypatch):
    one_is_there, all_are_there = threading.Event(), threading.Event()

    def compile_slowly(shares, lock):
        compilations.append(shares)
        one_is_there.set()
        assert all_are_there.wait(60.0)

    first, last = listed_kernels()[0], listed_kernels()[-1]
    monkeypatch.setattr(warm_up, "_compile_side_by_side", compile_slowly)
    monkeypatch.setattr(warm_up, "_is_missing", lambda kernel: not (one_is_there.is_set() and kernel is first))
    assert warm_up.compile_missing(first.name, first.types())
    assert warm_up._compiling().is_alive()
    all_are_there.set()
    assert not warm_up.compile_missing(last.name, last.types()), "it could not be compiled"


def test_a_kernel_that_is_not_listed_is_compiled_alone(compilations):
    first = listed_kernels()[0]
    assert not warm_up.compile_missing("elsewhere:draw", first.types())
    assert not warm_up.compile_missing(first.name, ())
    assert not compilations


def test_a_process_that_compiles_for_others_starts_no_more_processes(compilations, monkeypatch):
    monkeypatch.setenv(warm_up.WITHIN, "1")
    first = listed_kernels()[0]
    assert not warm_up.compile_missing(first.name, first.types())


def test_a_program_that_misses_a_kernel_waits_for_all_and_finds_them(tmp_path):
    code = textwrap.dedent("""
        from forestpilot.sim.kernels import listed, warm_up
        few = [kernel for kernel in listed.listed_kernels() if kernel.name.endswith((":rotation_of", ":wrap_index"))]
        warm_up.listed_kernels = lambda: tuple(few)
        import numpy as np
        from forestpilot.sim.vehicles.rigid_body import rotation_of
        print(rotation_of(np.array([0.0, 0.0, 0.0, 1.0]))[0, 0], sum(rotation_of.stats.cache_hits.values()))
    """)
    told, said = run(tmp_path, code)
    assert told.split() == ["1.0", "1"]
    assert said.startswith("compiling 2 kernels, once: about ")
    assert run(tmp_path, code) == (told, "")


def test_no_machine_code_is_made_of_a_helper(made):
    inner = made("@helper()\ndef outer(x):\n    return x + 1\n")
    outer = made("@kernel()\ndef outer(x):\n    return inner(x)\n", inner=inner)
    assert outer(1) == 2
    libraries = [next(iter(function.overloads.values())).library for function in (inner, outer)]
    assert [getattr(library, "_compiled_object", None) is None for library in libraries] == [True, False]


@pytest.mark.parametrize("function", operators.KNOWN, ids=lambda function: function.__name__)
def test_operators_on_plain_numbers_are_what_numba_says(function):
    context = cpu_target.typing_context
    context.refresh()
    templates = context.resolve_value_type(function).templates
    others = types.Function([template for template in templates if getattr(template, "metadata", {}) != FIRST])
    kinds = {types.int64, types.boolean}
    if function not in (operator.and_, operator.or_):
        kinds |= {types.float32, types.float64}
    for kind in kinds:
        found = context.resolve_function_type(function, (kind, kind), {})
        assert found == others.get_call_type(context, (kind, kind), {})


def test_least_and_greatest_are_numbas_own_for_what_is_no_number_too():
    values = [0.0, -0.0, 1.0, math.nan, -math.nan, math.inf]

    @njit
    def both(one, two):
        ours = min(one, two), max(one, two)
        return ours, (min((one, two)), max((one, two)))

    for pair in itertools.product(values, values):
        ours, numbas = both(*pair)
        assert np.array(ours).tobytes() == np.array(numbas).tobytes()
    assert both(3, -5) == ((-5, 3), (-5, 3))
