"""What tests of several rooms share: experiments, models, clusters, tables that tests write."""
