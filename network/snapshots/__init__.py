"""Snapshots of a node: made while it runs or stands still, kept, served to peers, and turned into a node again."""
