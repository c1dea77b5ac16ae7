"""When devices are available: ``available`` of a device becomes its times offline in the run's timeline."""
