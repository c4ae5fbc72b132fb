"""What `make validate` checks, before anything is spent: configs, models, tokens, design, cost."""
