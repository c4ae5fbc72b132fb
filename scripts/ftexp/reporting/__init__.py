"""What a person reads: sentences, figures, the page, the columns explained.

Tables: `scores` (for effects), `metrics` (for DVC), `results_view`, `effects_view`, `item_changes`, `columns`. Sentences:
`conclusions`, `against_majority`, of `claim_words`, `beware` and `number_words`. Figures: `figures`, `plots`, `effect_plots`,
`svg_figure`. The page: `page`. `power_options`: make power's.

May import: everything from ground to jobs, effects, results.
Must not import: checks, life.
"""
