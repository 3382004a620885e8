"""`python -m agentcli`."""

from agentcli.cli import main

main()
