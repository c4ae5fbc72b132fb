"""From a data file to rows, and from rows to the parts that train and test, and to test items.

May import: ground.
Must not import: anything of models, designs or runs; torch.
"""
