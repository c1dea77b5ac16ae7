"""Lab hosts in containers, each with its own sshd and Docker Engine: README.md says how to start them by hand."""
