"""What a person reads: sentences, figures, the page, the columns explained.

All of a report: `whole`. Tables: `scores` (for effects), `metrics` (for DVC), `cells_view`, `results_view`, `effects_view`,
`item_changes`, `columns`, `selected_view` (what was chosen), `task_contrasts` (two tasks side by side). Sentences:
`first_sentences`, `let_through`; `conclusions`, `against_majority`, of `claim_words`, `beware`, `number_words` and
`measure_words` (scorers and metrics in words). Figures: `figures`, `plots`, `validation_plots`, `effect_plots`, `heat_map`
(what is trained by what is asked), `svg_figure`, `picture_texts`. Of each task, for `shown_cells`: `task_views`, of
`labels_view` with `label_counts`, `reliability`, `number_scatter`, `wrong_answers`. The page: `page`. `power_options`: make
power's.

May import: everything from ground to jobs, effects, results.
Must not import: checks, life.
"""
