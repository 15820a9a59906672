"""Programs beside the product: the demonstration and the benchmark, which use it as any client would."""
