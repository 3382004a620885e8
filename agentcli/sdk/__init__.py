"""The composition root and the public library: agents, sessions, options, results. Faces are its customers."""
