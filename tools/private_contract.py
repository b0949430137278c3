"""An import-linter contract: a module whose name begins with an underscore is imported only within its own package."""

from typing import override

from grimp import ImportGraph
from importlinter import Contract, ContractCheck
from importlinter.application import output

type Import = tuple[str, str]


class PrivateModulesContract(Contract):
    """`mainspring.data._session` belongs to `mainspring.data`; everybody else asks `mainspring.data`."""

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find every import of a private module from outside."""
        trespasses = sorted(
            (importer, imported)
            for imported in graph.modules
            if (owner := _owner(imported)) is not None
            for importer in graph.find_modules_that_directly_import(imported)
            if importer != owner and not importer.startswith(f"{owner}.")
        )
        return ContractCheck(kept=not trespasses, metadata={"trespasses": trespasses})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        for importer, imported in check.metadata["trespasses"]:
            output.print_error(f"{importer} imports {imported}, which is private to {_owner(imported)}.")


def _owner(module: str) -> str | None:
    """The package that a private module, or what lies below one, belongs to; the innermost, which is the strictest."""
    parts = module.split(".")
    position = max((index for index, part in enumerate(parts) if part.startswith("_")), default=0)
    return ".".join(parts[:position]) or None
