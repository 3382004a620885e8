"""What the environment says of the terminal, handed up to the faces, which read no environment themselves."""

from agentcli.system.environment import Terminal, terminal

__all__ = ["Terminal", "terminal"]
