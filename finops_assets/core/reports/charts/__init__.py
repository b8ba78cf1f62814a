"""Charts as plain Vega-Lite specs: a module for each, what they share in `style`, and their images in `images`.

No figures are computed here, and nothing is read or written. A spec is a dict: the same one is an image in the mail and
in the PDF. A chart is added as a module of its own, and to the pictures of what shows it (`digest.pictures`).
"""
