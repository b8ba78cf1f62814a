"""Speed and memory, as ratios against floors and rivals measured in the same run: `make bench`."""
