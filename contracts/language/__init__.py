"""The contract language: checked, compiled to closures, metered."""
