"""The life cycle of a run on the control node, from plan to teardown: its folder, registry entry and manifest."""
