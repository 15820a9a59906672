"""Faults of disks, done to a node's files by the thousand: what the files are, what is done to them, who judges."""
