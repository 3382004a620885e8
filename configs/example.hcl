# Two models of this machine and three workers, each on the model that fits it. It runs as it is, without any key:
#
#   agentcli local pull qwen2.5-coder-0.5b          # 0.5 GB, once
#   agentcli local pull qwen2.5-coder-1.5b          # 1.1 GB, once
#   agentcli --config configs/example.hcl agents    # what each worker would run on, and why
#   agentcli --config configs/example.hcl -p "Use the scout worker to find out what this project is for."
#
# With a key, put a provider of yours beside `local` and name its models in the same places.

default_model  = "large"           # what you talk to
subagent_model = "small"           # workers whose definition names none

providers "local" {
  wire = "local"
  models "qwen2.5-coder-1.5b" {
    name  = "Qwen Coder 1.5B"
    limit = { context = 8192, output = 2048 }
    cost  = { input = 0, output = 0 }
  }
  models "qwen2.5-coder-0.5b" {
    name  = "Qwen Coder 0.5B"
    limit = { context = 8192, output = 2048 }
    cost  = { input = 0, output = 0 }
  }
}

aliases {
  large = "local/qwen2.5-coder-1.5b"
  small = "local/qwen2.5-coder-0.5b"
}

agents "scout" {
  description = "Reads files and reports findings."
  model       = "small"
  tools       = ["read", "grep", "glob", "ls"]
  max_turns   = 8
}

agents "critic" {
  description = "Says in three sentences what is good and what is weak about a text or a piece of code it is given."
  model       = "large"
  tools       = []
}

agents "writer" {
  description   = "Makes a small, clearly described change to one file, in a clone of its own."
  model         = "large"
  model_locked  = true             # a call may not put it on another model
  tools         = ["read", "edit", "write"]
  isolation     = "branch"
  max_turns     = 8
}

limits {
  max_parallel = 2                 # two cores: more at once would not be faster
}
