"""The report: tables, sentences, figures and page, made from what is known of the runs; nothing here computes an effect."""
