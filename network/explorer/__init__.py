"""The explorer: one page, its style, its scripts; no build, nothing from outside. `network.gateway.pages` serves it."""
