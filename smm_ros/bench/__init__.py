"""`smm bench`: what is compared with what, in one run; each comparison is a file of its own."""
