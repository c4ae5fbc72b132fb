"""From a data file to rows, and from rows to the parts that train and test, and to test items.

`tables` reads a file, `splits` divides its rows, `prompts` fills in a row's prompt, `rows` reads a part again, `items` are what a
test asks.

May import: ground.
Must not import: anything of models, designs or runs; torch.
"""
