"""The chain as Parquet files: blocks, transactions, receipts and events of a stopped node, for whoever analyses them.

`Export` is the whole of it. Of these modules `parquet` alone knows pyarrow, which comes with `quorate[export]`.
"""

from network.export.manifest import ExportRefused
from network.export.parquet import PyarrowMissing
from network.export.run import Export, Standing, Summary

__all__ = ["Export", "ExportRefused", "PyarrowMissing", "Standing", "Summary"]
