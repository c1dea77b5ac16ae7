"""Everything that two processes must agree on: names, labels, paths, files, commands and errors, each defined once.

Standard library only. Images and Ansible modules carry these same files, so imports inside this package are relative.
"""
