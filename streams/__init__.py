"""The shell: agents, feeds, timers, connectors, HTTP and the command line."""
