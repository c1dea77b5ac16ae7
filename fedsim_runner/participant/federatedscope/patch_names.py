"""Names of the patches, for the experiment file and the launcher. Importing this costs nothing."""

from __future__ import annotations

# Name -> the symptom that the patch removes, for the user.
PATCHES: dict[str, str] = {
    "busy_wait": "a participant that waits for a message burns a whole core",
    "lost_join": "a client that starts before its server never joins",
    "lost_message": "a message that cannot be sent at the first attempt is dropped and the course hangs",
    "second_finish": "the server sends finish twice, and both sides may hang while shutting down",
    "blocked_broadcast": "one stalled client holds up the server's messages to all others",
    "lean_imports": "libraries that training does not need fill the memory of a small device",
    "log_addresses": "addresses in log lines are rounded like numbers",
    "hostile_messages": "one message of a client ends the server, runs code in it, or ends another client",
    "contrib_modules": "a module of the user's own is not found if another one in its contrib folder lacks a package",
    "async_updates": "asynchronous aggregation crashes on the first update that came over the network",
}
