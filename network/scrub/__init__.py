"""What a node stored is read again while it runs, slowly: what a disk has damaged is found, told, and mended."""
