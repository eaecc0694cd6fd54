"""How helpers are compiled: up to the intermediate code that kernels take in, and no further.

Numba would optimise every helper for good, as each kernel and each helper on the way there does again, and would make
machine code of it that nobody runs: a quarter of the time that kernels took to compile.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary as NumbaLibrary
from numba.core.compiler import Compiler as NumbaCompiler

Library: Any = NumbaLibrary
Compiler: Any = NumbaCompiler


class HelperCompiler(Compiler):
    """Numba's pipeline for helpers; what it makes has no entry point."""

    def __init__(self, typing_context: Any, target: Any, library: Any, args: Any, result: Any, *options: Any) -> None:
        [flags, _] = options
        flags.no_compile = True
        super().__init__(typing_context, target, _HelperLibrary(target.codegen(), "helper"), args, result, *options)


class _HelperLibrary(Library):
    """Intermediate code of a helper."""

    def _optimize_final_module(self) -> None:
        passes = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False, opt=0, cost="cheap")
        manager, *builder = passes if isinstance(passes, tuple) else (passes,)
        manager.run(self._final_module, *builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True
