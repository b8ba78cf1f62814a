"""The account map: which account is in which OU, on which day; the tree of OUs; who may see which.

Nothing here knows a bill. It may use core/ itself.
"""
