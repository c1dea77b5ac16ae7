"""Running an experiment: through ansible-runner on lab hosts, or as plain processes."""
