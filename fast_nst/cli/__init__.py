"""The command line: commands as typed functions, the parser made from them, dispatch and exit codes."""
