"""A process of the agent that changes root qdiscs and ports of bridges at the moment at which that is due.

The agent computes too much, and with too many threads, to be in time on a lab host whose processors all compute: even
a thread with real-time priority waits for the lock of the interpreter, and whoever has that for a processor. So the
agent prepares requests to the kernel a little ahead of their time, and this process, which does nothing else and has
real-time priority, makes them.
"""
