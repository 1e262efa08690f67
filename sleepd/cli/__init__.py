"""The command line: one file a verb. It asks the daemon and prints; it owns no state and imports nothing heavy at the top of a file."""
