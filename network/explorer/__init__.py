"""The explorer: one page, one style, one script, no build and nothing from elsewhere. `network.gateway.pages` serves it."""
