"""Programs beside the product: the demonstration, benchmarks, and campaigns that attack it. None is part of a node."""
