"""The account map: which account is in which OU, on which day; the tree of OUs; who may see which.

It does not know the bill. It may use core's own modules.
"""
