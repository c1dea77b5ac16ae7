"""One file for each verb of ``fedsim-provision``; ``fedsim_runner.cli.entry`` lists them in the order of --help."""
