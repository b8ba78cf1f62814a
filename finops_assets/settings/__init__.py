"""What can be set, what each value may be, and where paths begin."""
