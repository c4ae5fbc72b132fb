"""From a data file to rows, and from rows to the parts that train and test, and to test items.

`tables` reads a file (`json_rows`, `csv_rows`, `parquet_rows`), `cell_text` says what a cell is as text, `conversations` reads
turns, `splits` divides the rows, `held_out` takes from those that train what a test holds, `prompts` fills in a row's prompt,
`cuts` says where a document's beginning ends, `rows` reads a part again, `items` are what a test asks, `answers` what is right
there, `choices` what there is to choose from.

May import: ground.
Must not import: anything of models, designs or runs; torch.
"""
